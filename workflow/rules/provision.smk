# Is every machine of the test bed fit for the experiment? All that touches it waits for the answer.


rule provision:
    output:
        json="results/provision.json",
        text="results/provision.txt",
    log:
        "results/logs/provision.log",
    # All cores: another rule would disturb the look at the idle CPU.
    threads: ALL_CORES
    params:
        config=section("testbed"),
    message:
        "Checking the hosts of the test bed: kernel, BCC, tools, idle CPU"
    script:
        "../scripts/provision.py"
