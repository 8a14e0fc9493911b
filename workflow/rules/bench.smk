# Benchmarks: ratios within one run, made only when asked for (snakemake --cores 1 bench).


rule bench_lock:
    input:
        model=f"results/convert/{DEPLOYED_POINT}",
    output:
        "results/bench/lock.csv",
    log:
        "results/logs/bench_lock.log",
    benchmark:
        "results/benchmarks/bench_lock.tsv"
    threads: ALL_CORES
    params:
        code=code_of("bench_lock.py"),
        config=section("features"),
        testbed=THE_UPF,
        script="bench_lock.py",
    message:
        "Timing the classifier with and without the lock on a flow"
    script:
        "../scripts/on_upf.py"


rule bench_replay:
    input:
        packets="results/capture/packets.parquet",
        model=f"results/convert/{DEPLOYED_POINT}",
    output:
        "results/bench/replay.csv",
    log:
        "results/logs/bench_replay.log",
    benchmark:
        "results/benchmarks/bench_replay.tsv"
    threads: ALL_CORES
    params:
        code=code_of("bench_replay.py"),
        testbed=THE_UPF,
        script="bench_replay.py",
    message:
        "Timing the replay of the training trace"
    script:
        "../scripts/on_upf.py"


rule bench_inference:
    input:
        "results/windows/windows.parquet",
    output:
        "results/bench/inference.csv",
    log:
        "results/logs/bench_inference.log",
    benchmark:
        "results/benchmarks/bench_inference.tsv"
    threads: ALL_CORES
    params:
        code=code_of("bench_inference.py", UNUSED_BY_ENGINES),
        config=section(
            *("seed", "features", "convert"),
            *(f"bench.{key}" for key in ("max_depth", "n_estimators", "orders", "repeats")),
        ),
        testbed=THE_UPF,
        script="bench_inference.py",
    message:
        "Timing the engines' inference"
    script:
        "../scripts/on_upf.py"


rule bench_path:
    input:
        model=f"results/convert/{DEPLOYED_POINT}",
    output:
        "results/bench/path.csv",
    log:
        "results/logs/bench_path.log",
    benchmark:
        "results/benchmarks/bench_path.tsv"
    threads: ALL_CORES
    params:
        code=code_of("bench_path.py"),
        config=section("flow_table", "bench.flows", "bench.repeats"),
        testbed=THE_UPF,
        script="bench_path.py",
    message:
        "Timing a packet's way step by step"
    script:
        "../scripts/on_upf.py"


rule bench_delivery:
    input:
        model=f"results/convert/{DEPLOYED_POINT}",
    output:
        "results/bench/delivery.csv",
    log:
        "results/logs/bench_delivery.log",
    benchmark:
        "results/benchmarks/bench_delivery.tsv"
    threads: ALL_CORES
    params:
        code=code_of("bench_delivery.py"),
        repeats=config["bench"]["repeats"],
        testbed=THE_UPF,
        script="bench_delivery.py",
    message:
        "Timing ways to deliver a decision"
    script:
        "../scripts/on_upf.py"


rule bench_saturation:
    input:
        testbed="results/testbed.json",
        forest=f"results/train/{DEPLOYED_POINT}/forest.joblib",
    output:
        "results/bench/saturation.csv",
    log:
        "results/logs/bench_saturation.log",
    benchmark:
        "results/benchmarks/bench_saturation.tsv"
    threads: ALL_CORES
    params:
        code=code_of("bench_saturation.py", UNUSED_BY_ENGINES),
        config=section(
            *("seed", "testbed.prefix", "testbed.ue_mtu_bytes", "testbed.xdp_mode"),
            *("features", "flow_table", "convert", "bench.saturation"),
        ),
        testbed=THE_UPF,
        script="bench_saturation.py",
    message:
        "Saturating the live UPF without a program and with each"
    script:
        "../scripts/on_upf.py"


rule figure_bench_inference:
    input:
        rules.bench_inference.output,
    output:
        **figure_files("bench_inference", "Inference by engine", "Benchmark"),
    log:
        "results/logs/figure_bench_inference.log",
    params:
        code=code_of("figure_bench_inference.py"),
        note=config["note"],
    message:
        "Drawing what an inference costs"
    script:
        "../scripts/figure_bench_inference.py"


rule figure_bench_path:
    input:
        rules.bench_path.output,
    output:
        **figure_files("bench_path", "A packet's way, step by step", "Benchmark"),
    log:
        "results/logs/figure_bench_path.log",
    params:
        code=code_of("figure_bench_path.py"),
        note=config["note"],
    message:
        "Drawing what a packet's way costs"
    script:
        "../scripts/figure_bench_path.py"


rule figure_bench_saturation:
    input:
        rules.bench_saturation.output,
    output:
        **figure_files("bench_saturation", "Packets per second at saturation", "Benchmark"),
    log:
        "results/logs/figure_bench_saturation.log",
    params:
        code=code_of("figure_bench_saturation.py"),
        note=config["note"],
    message:
        "Drawing what the live UPF forwards at saturation"
    script:
        "../scripts/figure_bench_saturation.py"


rule bench:
    input:
        rules.bench_lock.output,
        rules.bench_replay.output,
        rules.bench_delivery.output,
        rules.figure_bench_inference.output,
        rules.figure_bench_path.output,
        rules.figure_bench_saturation.output,
    localrule: True
