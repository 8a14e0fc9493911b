# The measured runs. A job is one block: every arm once, on the same traffic, in an order drawn from the seed.


rule classify:
    input:
        testbed="results/testbed.json",
        ladder="results/traffic/ladder",
        control="results/traffic/control",
        model="results/convert/{point}/parts.json",
    output:
        block_files("decisions.parquet"),
        block_files("flows.parquet"),
        block_files("rungs.parquet"),
        block_files("loss.json"),
        block_files("run.json"),
        block_files("provenance.json"),
        directory(block_files("sampling")),
    log:
        "results/logs/classify-{point}-{trial}.log",
    # All cores: a measured run never shares the machine with another rule.
    threads: ALL_CORES
    params:
        config=section("seed", "testbed", "traffic", "features", "flow_table", "classify", "delivery", "runs"),
    message:
        "Running block {wildcards.trial}: every arm once, {params.config[runs][duration_s]} s each"
    script:
        "../scripts/classify.py"
