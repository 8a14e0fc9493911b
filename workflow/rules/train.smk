# What a forest must beat, and a forest for every point of the sweep, scored on both splits.


rule baselines:
    input:
        "results/windows/windows.parquet",
    output:
        "results/train/baselines.json",
    log:
        "results/logs/baselines.log",
    benchmark:
        "results/benchmarks/baselines.tsv"
    params:
        code=code_of("baselines.py"),
    message:
        "Fitting the baselines"
    script:
        "../scripts/baselines.py"


rule train:
    input:
        windows="results/windows/windows.parquet",
        baselines="results/train/baselines.json",
    output:
        forest="results/train/{point}/forest.joblib",
        scores="results/train/{point}/scores.json",
    log:
        "results/logs/train-{point}.log",
    benchmark:
        "results/benchmarks/train-{point}.tsv"
    params:
        code=code_of("train.py"),
        seed=config["seed"],
        point=lambda wildcards: POINTS[wildcards.point],
        kind=config["model"]["kind"],
        min_samples_leaf=config["model"]["min_samples_leaf"],
    message:
        "Training {wildcards.point}"
    script:
        "../scripts/train.py"
