# One number per arm, trial and metric.


rule metrics:
    input:
        decisions=run_files("decisions.parquet"),
        samples=run_files("samples.parquet"),
        losses=run_files("loss.json"),
        scores=f"results/train/{DEPLOYED_POINT}/scores.json",
    output:
        "results/metrics.parquet",
    log:
        "results/logs/metrics.log",
    params:
        point=DEPLOYED_POINT,
    message:
        "Summing up every run"
    script:
        "../scripts/metrics.py"
