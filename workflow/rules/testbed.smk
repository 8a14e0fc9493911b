# Does the test bed carry TCP and UDP both ways through GTP-U?


rule testbed:
    input:
        "results/provision.json",
    output:
        "results/testbed.json",
    params:
        config=section("testbed"),
    log:
        "results/logs/testbed.log",
    message:
        "Building the test bed and sending TCP and UDP through its GTP-U tunnel"
    threads: workflow.cores
    script:
        "../scripts/testbed.py"
