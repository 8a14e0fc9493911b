# Depth and number of trees: every point through scikit-learn, the shared library and the kernel, or refused by it.


rule sweep_point:
    input:
        packets="results/capture/packets.parquet",
        windows="results/windows/windows.parquet",
        forest="results/train/{point}/forest.joblib",
        baselines="results/train/baselines.json",
        model="results/convert/{point}",
    output:
        "results/sweep/{point}.json",
    log:
        "results/logs/sweep-{point}.log",
    benchmark:
        "results/benchmarks/sweep_point-{point}.tsv"
    threads: ALL_CORES
    params:
        code=code_of("sweep_point.py"),
        config=section("features", "flow_table"),
        point=lambda wildcards: POINTS[wildcards.point],
        testbed=THE_UPF,
        script="sweep_point.py",
    message:
        "Replaying the training trace through {wildcards.point} in the kernel"
    script:
        "../scripts/on_upf.py"


rule sweep_table:
    input:
        expand("results/sweep/{point}.json", point=POINTS),
    output:
        "results/sweep/sweep.parquet",
    log:
        "results/logs/sweep.log",
    params:
        code=code_of("sweep_table.py"),
    message:
        "Gathering the sweep"
    script:
        "../scripts/sweep_table.py"
