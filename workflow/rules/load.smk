# More and more load, until something breaks: packets a second, flows, and the period of flows.

LOAD_TITLES = {
    "rate": "Load: packets a second",
    "flows": "Load: flows",
    "period": "Load: period of flows",
}


rule load_turns:
    input:
        testbed="results/testbed.json",
        model=f"results/convert/{DEPLOYED_POINT}/parts.json",
    output:
        "results/load/load.parquet",
    log:
        "results/logs/load.log",
    threads: ALL_CORES
    params:
        config=section("seed", "testbed", "features", "flow_table", "delivery", "load"),
    message:
        "Loading the UPF until something breaks"
    script:
        "../scripts/load.py"


rule load_breaks:
    input:
        rules.load_turns.output,
    output:
        "results/load/breaks.json",
    log:
        "results/logs/load_breaks.log",
    message:
        "Finding where each arm breaks"
    script:
        "../scripts/load_breaks.py"


rule figure_load:
    input:
        rules.load_turns.output,
    output:
        pdf=report(
            "figures/load_{sweep}.pdf",
            caption="../report/load.rst",
            category="Load",
            labels=lambda wildcards: {"figure": LOAD_TITLES[wildcards.sweep], "format": "PDF"},
        ),
        png=report(
            "figures/load_{sweep}.png",
            caption="../report/load.rst",
            category="Load",
            labels=lambda wildcards: {"figure": LOAD_TITLES[wildcards.sweep], "format": "PNG"},
        ),
    log:
        "results/logs/figure_load_{sweep}.log",
    wildcard_constraints:
        sweep="|".join(LOAD_TITLES),
    params:
        config=config["load"],
    message:
        "Drawing the load's sweep of {wildcards.sweep}"
    script:
        "../scripts/figure_load.py"


rule load:
    input:
        rules.load_breaks.output,
        expand("figures/load_{sweep}.{suffix}", sweep=LOAD_TITLES, suffix=["pdf", "png"]),
    localrule: True
