# Does the test bed carry TCP and UDP both ways through GTP-U?


rule testbed:
    input:
        FIT,
    output:
        "results/testbed.json",
    log:
        "results/logs/testbed.log",
    benchmark:
        "results/benchmarks/testbed.tsv"
    threads: ALL_CORES
    params:
        config=section("testbed"),
    message:
        "Building the test bed and sending TCP and UDP through its GTP-U tunnel"
    script:
        "../scripts/testbed.py"
