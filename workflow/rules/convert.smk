# scikit-learn to C: for user space as emlearn writes it, for the kernel what the engine takes (upfml/model/engines).


rule convert:
    input:
        "results/train/{point}/forest.joblib",
    output:
        # Its files depend on the engine.
        directory("results/convert/{point}"),
    log:
        "results/logs/convert-{point}.log",
    benchmark:
        "results/benchmarks/convert-{point}.tsv"
    params:
        code=code_of("convert.py"),
        config=section("features", "convert.thresholds", "convert.voting", "classify.engine"),
        # Only one engine divides a forest.
        division=config["convert"]["division"] if config["classify"]["engine"] == "tailcall" else "auto",
    message:
        "Converting {wildcards.point} to C"
    script:
        "../scripts/convert.py"
