# The measured runs. A job is a batch of trials; in a trial every arm has a turn on the same traffic, in drawn order.

CLASSIFY = {
    "code": code_of("classify.py"),
    "config": section("seed", "testbed", "features", "flow_table", "arms")
    | {"traffic": TRAFFIC_OF_TRIALS}
    | section(*(f"runs.{key}" for key in ("trials_per_batch", "settle_s", "warmup_s", "turn_s")))
    | delay(config["arms"]),
}


rule classify:
    input:
        testbed="results/testbed.json",
        ladder="results/traffic/ladder",
        control="results/traffic/control",
        model="results/convert/{point}",
    output:
        decisions=f"{BATCH}/decisions.parquet",
        turns=f"{BATCH}/turns.parquet",
        flows=f"{BATCH}/flows.parquet",
        run=f"{BATCH}/run.json",
        provenance=f"{BATCH}/provenance.json",
        sampling=directory(f"{BATCH}/sampling"),
    log:
        "results/logs/classify-{point}-{batch}.log",
    benchmark:
        "results/benchmarks/classify-{point}-{batch}.tsv"
    # All cores: a measured run never shares the machine with another rule.
    threads: ALL_CORES
    params:
        **CLASSIFY,
    message:
        "Running batch {wildcards.batch}: {params.config[runs][trials_per_batch]} trials, a turn of every arm in each"
    script:
        "../scripts/classify.py"


# How many batches the wanted interval needs is known when the first have been run.
checkpoint enough_trials:
    input:
        turns=first_batches("turns.parquet"),
        samples=first_batches("samples.parquet"),
    output:
        "results/runs/enough.json",
    log:
        "results/logs/enough_trials.log",
    params:
        code=code_of("enough_trials.py"),
        config=section("runs.batches", "runs.half_width_cpu_points", "runs.trials_per_batch"),
    message:
        "Computing how many trials the wanted interval needs"
    script:
        "../scripts/enough_trials.py"
