# scikit-learn to C: for user space as emlearn writes it, for the kernel what the engine takes (upfml/model/engines).

from upfml.model.engines import FILES


rule convert:
    input:
        "results/train/{point}/forest.joblib",
    output:
        expand(
            "results/convert/{{point}}/{name}",
            name=["model.h", "model.c", "model.so", "forest.h", "engine.h"] + FILES[config["classify"]["engine"]],
        ),
        parts="results/convert/{point}/parts.json",
    log:
        "results/logs/convert-{point}.log",
    benchmark:
        "results/benchmarks/convert-{point}.tsv"
    params:
        config=section("features", "convert", "classify"),
    message:
        "Converting {wildcards.point} to C"
    script:
        "../scripts/convert.py"
