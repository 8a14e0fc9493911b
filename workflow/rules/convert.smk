# scikit-learn to C: for user space as emlearn writes it, for the kernel adapted and divided over tail calls.


rule convert:
    input:
        "results/train/{point}/forest.joblib",
    output:
        expand(
            "results/convert/{{point}}/{name}",
            name=["model.h", "model.c", "model.so", "forest.h", "forest_parts.h", "engine.h"],
        ),
        parts="results/convert/{point}/parts.json",
    log:
        "results/logs/convert-{point}.log",
    params:
        config=section("features", "convert", "classify"),
    message:
        "Converting {wildcards.point} to C"
    script:
        "../scripts/convert.py"
