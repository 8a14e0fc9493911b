# Where accuracy goes between scikit-learn and the kernel as in the authors' code: one trace, every cause.


rule causes:
    input:
        packets="results/capture/packets.parquet",
        flows="results/capture/flows.parquet",
    output:
        "results/accuracy_causes.json",
    log:
        "results/logs/accuracy_causes.log",
    benchmark:
        "results/benchmarks/causes.tsv"
    params:
        code=code_of("accuracy_causes.py"),
        config=section("seed", "features.window_ms", "causes"),
        model={key: config["model"][key] for key in ("kind", "deployed", "min_samples_leaf")},
    message:
        "Measuring what each cause costs in accuracy"
    script:
        "../scripts/accuracy_causes.py"


rule causes_page:
    input:
        study="results/accuracy_causes.json",
        scores=f"results/train/{DEPLOYED_POINT}/scores.json",
        exactness="results/exactness.json",
        live=[] if config["replay"] else rules.exactness_run.output.run,
    output:
        "results/accuracy_causes.md",
    log:
        "results/logs/accuracy_causes_page.log",
    params:
        code=code_of("accuracy_causes_page.py"),
    message:
        "Writing the page on what each cause costs in accuracy"
    script:
        "../scripts/accuracy_causes_page.py"


rule page_of_accuracy_causes:
    input:
        rules.causes_page.output,
    output:
        page_file("accuracy_causes", "Where accuracy goes", "The answer"),
    log:
        "results/logs/page_of_accuracy_causes.log",
    params:
        code=code_of("page.py"),
    message:
        "Putting the page on accuracy causes into the report"
    script:
        "../scripts/page.py"


rule figure_accuracy_causes:
    input:
        "results/accuracy_causes.json",
    output:
        **figure_files("accuracy_causes", "Where accuracy goes", "Classification"),
    log:
        "results/logs/figure_accuracy_causes.log",
    params:
        code=code_of("figure_accuracy_causes.py"),
        note=config["note"],
    message:
        "Drawing what each cause costs in accuracy"
    script:
        "../scripts/figure_accuracy_causes.py"


rule accuracy_causes:
    input:
        rules.figure_accuracy_causes.output,
        rules.page_of_accuracy_causes.output,
    localrule: True
