# One number per arm, trial and metric; and the arms against each other.


rule metrics:
    input:
        decisions=run_files("decisions.parquet"),
        samples=run_files("samples.parquet"),
        turns=run_files("turns.parquet"),
        scores=f"results/train/{DEPLOYED_POINT}/scores.json",
        baselines="results/train/baselines.json",
    output:
        "results/metrics.parquet",
    log:
        "results/logs/metrics.log",
    benchmark:
        "results/benchmarks/metrics.tsv"
    params:
        code=code_of("metrics.py"),
        arms=config["arms"],
    message:
        "Computing the metrics of every run"
    script:
        "../scripts/metrics.py"


rule comparison:
    input:
        "results/metrics.parquet",
    output:
        json="results/comparison.json",
        page="results/comparison.md",
    log:
        "results/logs/comparison.log",
    benchmark:
        "results/benchmarks/comparison.tsv"
    params:
        code=code_of("comparison.py"),
        arms=config["arms"],
    message:
        "Comparing the arms"
    script:
        "../scripts/comparison.py"
