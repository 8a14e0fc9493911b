# A forest for every point of the sweep, scored on both splits.


rule train:
    input:
        "results/windows/windows.parquet",
    output:
        forest="results/train/{point}/forest.joblib",
        scores="results/train/{point}/scores.json",
    log:
        "results/logs/train-{point}.log",
    params:
        seed=config["seed"],
        point=lambda wildcards: upfml_config.points(config)[wildcards.point],
        kind=config["model"]["kind"],
        min_samples_leaf=config["model"]["min_samples_leaf"],
    message:
        "Training {wildcards.point}"
    script:
        "../scripts/train.py"
