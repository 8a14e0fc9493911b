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
        # Not the test's code, as in provision.smk. The code of the test bed itself is in that of each run.
        config=section("testbed.kind", "testbed.prefix", "testbed.cpus", "testbed.ue_mtu_bytes", "testbed.machines"),
    message:
        "Building the test bed and sending TCP and UDP through its GTP-U tunnel"
    script:
        "../scripts/testbed.py"
