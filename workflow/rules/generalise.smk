# Does it generalise? The deployed forest, and the baselines, on scenarios that it was not trained on.

GENERALISE_RUN_CODE = code_of("generalise_run.py", UNUSED_BY_TRACES)


rule generalise_run:
    input:
        testbed=ancient("results/testbed.json"),
        ladder="results/traffic/ladder",
        control="results/traffic/control",
    output:
        packets=f"{SCENARIO}/packets.parquet",
        flows=f"{SCENARIO}/flows.parquet",
        rungs=f"{SCENARIO}/rungs.parquet",
        loss=f"{SCENARIO}/loss.json",
        run=f"{SCENARIO}/run.json",
        provenance=f"{SCENARIO}/provenance.json",
        sampling=directory(f"{SCENARIO}/sampling"),
    log:
        "results/logs/generalise-{scenario}.log",
    benchmark:
        "results/benchmarks/generalise_run-{scenario}.tsv"
    threads: ALL_CORES
    params:
        code=GENERALISE_RUN_CODE,
        config=lambda wildcards: scenario_section(wildcards.scenario),
    message:
        "Capturing scenario {wildcards.scenario}"
    script:
        "../scripts/generalise_run.py"


rule generalise_judge:
    input:
        packets=scenario_files("packets.parquet"),
        flows=scenario_files("flows.parquet"),
        losses=scenario_files("loss.json"),
        runs=scenario_files("run.json"),
        trained_windows="results/windows/windows.parquet",
        trained_flows="results/capture/flows.parquet",
        forest=f"results/train/{DEPLOYED_POINT}/forest.joblib",
        baselines="results/train/baselines.json",
    output:
        judged="results/generalise.parquet",
        summary="results/generalise.json",
    log:
        "results/logs/generalise.log",
    benchmark:
        "results/benchmarks/generalise_judge.tsv"
    params:
        code=code_of("generalise.py"),
        config=section("seed", "features"),
        model={
            **config["model"]["deployed"],
            **{key: config["model"][key] for key in ("kind", "min_samples_leaf")},
        },
        scenarios=config["generalise"]["scenarios"],
    message:
        "Judging the forest on scenarios that it was not trained on"
    script:
        "../scripts/generalise.py"


rule generalise_page:
    input:
        "results/generalise.json",
    output:
        "results/generalise.md",
    log:
        "results/logs/generalise_page.log",
    params:
        code=code_of("generalise_page.py"),
    message:
        "Writing the page on how the forest generalises"
    script:
        "../scripts/generalise_page.py"


rule page_of_generalise:
    input:
        rules.generalise_page.output,
    output:
        page_file("generalise", "Does it generalise?", "The answer"),
    log:
        "results/logs/page_of_generalise.log",
    params:
        code=code_of("page.py"),
    message:
        "Putting the page on generalisation into the report"
    script:
        "../scripts/page.py"


rule figure_generalise:
    input:
        "results/generalise.json",
    output:
        **figure_files("generalise", "Does it generalise?", "Classification"),
    log:
        "results/logs/figure_generalise.log",
    params:
        code=code_of("figure_generalise.py"),
        note=config["note"],
    message:
        "Drawing how the forest generalises"
    script:
        "../scripts/figure_generalise.py"


rule generalise:
    input:
        rules.page_of_generalise.output,
        rules.figure_generalise.output,
    localrule: True
