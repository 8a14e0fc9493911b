# More and more load, until something breaks: packets a second, flows, and the period of flows.

LOAD = {
    "code": code_of("load.py"),
    "config": section(
        *("seed", "testbed.prefix", "testbed.ue_mtu_bytes", "testbed.xdp_mode"),
        *("features.iat_unit", "flow_table", "load"),
    )
    | delay(config["load"]["arms"]),
}


rule load_turns:
    input:
        testbed=ancient("results/testbed.json"),
        model=f"results/convert/{DEPLOYED_POINT}",
    output:
        load="results/load/load.parquet",
        provenance="results/load/provenance.json",
    log:
        "results/logs/load.log",
    benchmark:
        "results/benchmarks/load_turns.tsv"
    threads: ALL_CORES
    params:
        **LOAD,
        testbed=THE_UPF,
        script="load.py",
    message:
        "Raising the load until an arm breaks"
    script:
        "../scripts/on_upf.py"


rule load_breaks:
    input:
        "results/load/load.parquet",
    output:
        "results/load/breaks.json",
    log:
        "results/logs/load_breaks.log",
    params:
        code=code_of("load_breaks.py"),
    message:
        "Finding where each arm breaks"
    script:
        "../scripts/load_breaks.py"


for SWEEP, TITLE in {"rate": "Packets a second", "flows": "Flows", "period": "Period of flows"}.items():

    rule:
        name:
            f"figure_load_{SWEEP}"
        input:
            "results/load/load.parquet",
        output:
            **figure_files(f"load_{SWEEP}", TITLE, "Load"),
        log:
            f"results/logs/figure_load_{SWEEP}.log",
        params:
            code=code_of("figure_load.py"),
            note=config["note"],
            arms=config["load"]["arms"],
            sweep=SWEEP,
            window_ms=config["load"]["window_ms"],
        message:
            f"Drawing the load: {TITLE}"
        script:
            "../scripts/figure_load.py"


rule load:
    input:
        rules.load_breaks.output,
        rules.figure_load_rate.output,
        rules.figure_load_flows.output,
        rules.figure_load_period.output,
    localrule: True
