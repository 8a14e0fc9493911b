# A finished run in one file, from which its figures can be drawn again without its kernel, its network or root.


rule archive:
    input:
        rules.figures.input,
        rules.report_pages.input,
        rules.accuracy_causes.input,
        rules.generalise.input,
        rules.paper_vs_here.output,
        rules.comparison.output,
        rules.windows.output,
        rules.check_machines.output,
        rules.load_breaks.output,
        drawn_from,
        expand("results/train/{point}/scores.json", point=POINTS),
        run_files("run.json"),
        testbed="results/testbed.json",
        capture="results/capture/run.json",
        causes=["results/accuracy_causes.json", "results/accuracy_causes.md"],
        exactness="results/exactness.json",
        metrics="results/metrics.parquet",
        provenance="results/provenance.json",
        records=run_records,
        report="results/report.html",
    output:
        "results/archive.zip",
    log:
        "results/logs/archive.log",
    params:
        code=code_of("archive.py"),
        config=config,
        drawings=drawings,
        made_by=made_by,
        now=now,
        root=PROJECT,
    message:
        "Packing the run"
    script:
        "../scripts/archive.py"
