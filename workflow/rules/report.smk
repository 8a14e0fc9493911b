# The paper's numbers beside ours, what makes ours believable, and the pages that tell both to a reader of the report.


rule paper_vs_here:
    input:
        metrics="results/metrics.parquet",
        scores=f"results/train/{DEPLOYED_POINT}/scores.json",
        exactness="results/exactness.json",
    output:
        json="results/paper_vs_here.json",
        page="results/paper_vs_here.md",
    log:
        "results/logs/paper_vs_here.log",
    params:
        code=code_of("paper_vs_here.py"),
        arms=config["arms"],
    message:
        "Comparing with the paper's numbers"
    script:
        "../scripts/paper_vs_here.py"


rule provenance:
    input:
        run_records,
    output:
        "results/provenance.json",
    log:
        "results/logs/provenance.log",
    params:
        code=code_of("provenance.py"),
        head=upfml_provenance.commit()["git_commit"],
        now=now,
        config=config,
    message:
        "Recording code, configuration and machine"
    script:
        "../scripts/provenance.py"


rule first_page:
    input:
        metrics="results/metrics.parquet",
        exactness="results/exactness.json",
        comparison="results/comparison.json",
        breaks="results/load/breaks.json",
        paper_vs_here="results/paper_vs_here.json",
        provenance="results/provenance.json",
    output:
        "results/first_page.rst",
    log:
        "results/logs/first_page.log",
    params:
        code=code_of("first_page.py"),
        arms=config["arms"],
    message:
        "Writing the report's first page"
    script:
        "../scripts/first_page.py"


rule page_of_paper_vs_here:
    input:
        "results/paper_vs_here.md",
    output:
        page_file("paper_vs_here", "The paper and here", "The answer"),
    log:
        "results/logs/page_of_paper_vs_here.log",
    params:
        code=code_of("page.py"),
    message:
        "Putting the paper's numbers and ours into the report"
    script:
        "../scripts/page.py"


rule page_of_comparison:
    input:
        "results/comparison.md",
    output:
        page_file("comparison", "The arms against each other", "The answer"),
    log:
        "results/logs/page_of_comparison.log",
    params:
        code=code_of("page.py"),
    message:
        "Putting the comparison of the arms into the report"
    script:
        "../scripts/page.py"


rule page_of_metrics:
    input:
        "results/metrics.parquet",
    output:
        page_file("metrics", "Every number of every trial", "Provenance"),
    log:
        "results/logs/page_of_metrics.log",
    params:
        code=code_of("page_of_metrics.py"),
    message:
        "Putting the numbers of every trial into the report"
    script:
        "../scripts/page_of_metrics.py"


rule page_of_provenance:
    input:
        "results/provenance.json",
    output:
        page_file("provenance", "Code, configuration, machine", "Provenance"),
    log:
        "results/logs/page_of_provenance.log",
    params:
        code=code_of("page_of_provenance.py"),
        config=config,
    message:
        "Putting code, configuration and machine into the report"
    script:
        "../scripts/page_of_provenance.py"


rule page_of_benchmarks:
    input:
        expand(
            "results/benchmarks/{rule}.tsv",
            rule=[
                *(
                    "check_machines",
                    "testbed",
                    "ladder",
                    "capture",
                    "windows",
                    "baselines",
                    "exactness_run",
                    "exactness",
                ),
                *("causes", "generalise_judge", "flood", "load_turns", "metrics", "comparison"),
            ],
        ),
        expand("results/benchmarks/{rule}-{point}.tsv", rule=["train", "convert", "sweep_point"], point=POINTS),
        expand("results/benchmarks/generalise_run-{scenario}.tsv", scenario=SCENARIOS),
        every_batch("results/benchmarks/classify-{point}-{batch}.tsv"),
    output:
        page_file("benchmarks", "What each rule took", "Provenance"),
    log:
        "results/logs/page_of_benchmarks.log",
    params:
        code=code_of("page_of_benchmarks.py"),
    message:
        "Making a page of what each rule took"
    script:
        "../scripts/page_of_benchmarks.py"


rule report_pages:
    input:
        rules.first_page.output,
        rules.page_of_paper_vs_here.output,
        rules.page_of_comparison.output,
        rules.page_of_metrics.output,
        rules.page_of_provenance.output,
        rules.page_of_benchmarks.output,
    localrule: True
