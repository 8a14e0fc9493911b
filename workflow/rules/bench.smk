# Benchmarks: ratios within one run, made only when asked for (snakemake --cores 1 bench).


rule bench_lock:
    input:
        model=f"results/convert/{DEPLOYED_POINT}/parts.json",
    output:
        "results/bench/lock.csv",
    log:
        "results/logs/bench_lock.log",
    threads: ALL_CORES
    params:
        config=section("features"),
    message:
        "Timing the classifier with and without the lock on a flow"
    script:
        "../scripts/bench_lock.py"


rule bench_replay:
    input:
        packets="results/capture/packets.parquet",
        model=f"results/convert/{DEPLOYED_POINT}/parts.json",
    output:
        "results/bench/replay.csv",
    log:
        "results/logs/bench_replay.log",
    threads: ALL_CORES
    message:
        "Timing the replay of the training trace"
    script:
        "../scripts/bench_replay.py"


rule bench:
    input:
        rules.bench_lock.output,
        rules.bench_replay.output,
    localrule: True
