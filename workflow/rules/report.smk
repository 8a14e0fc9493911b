# The paper's numbers beside ours, and what makes ours believable.


rule paper_vs_here:
    input:
        metrics="results/metrics.parquet",
        scores=f"results/train/{DEPLOYED_POINT}/scores.json",
        exactness="results/exactness.json",
    output:
        json="results/paper_vs_here.json",
        page=report(
            "results/paper_vs_here.md",
            caption="../report/paper_vs_here.rst",
            category="Numbers",
        ),
    log:
        "results/logs/paper_vs_here.log",
    message:
        "Comparing with the paper's numbers"
    script:
        "../scripts/paper_vs_here.py"


rule provenance:
    input:
        capture="results/capture/provenance.json",
        runs=run_files("provenance.json"),
    output:
        "results/provenance.json",
    log:
        "results/logs/provenance.log",
    params:
        config=config,
    message:
        "Writing down code, configuration and machine"
    script:
        "../scripts/provenance.py"
