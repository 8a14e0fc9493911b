# Is every machine of the test bed fit for the experiment? All that touches it waits for the answer.

FIT = "results/provision.ok"


rule check_machines:
    output:
        json="results/provision.json",
        text="results/provision.txt",
        page="results/provision.html",
    log:
        "results/logs/check_machines.log",
    benchmark:
        "results/benchmarks/check_machines.tsv"
    # All cores: another rule would disturb the look at the idle CPU.
    threads: ALL_CORES
    params:
        code=code_of("check_machines.py"),
        config=section("testbed.kind", "testbed.xdp_mode", "testbed.n3_rate_mbit_s", "testbed.machines"),
    message:
        "Checking the hosts of the test bed: kernel, BCC, tools, idle CPU"
    script:
        "../scripts/check_machines.py"


# Apart from the check, whose files Snakemake would remove if it failed.
rule provision:
    input:
        "results/provision.json",
    output:
        touch(FIT),
    log:
        "results/logs/provision.log",
    params:
        code=code_of("provision.py"),
    message:
        "Reading what the check of the hosts found"
    script:
        "../scripts/provision.py"
