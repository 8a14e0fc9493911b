# What a full flow table costs: the training trace with a flood of new flows, replayed.


rule flood:
    input:
        packets="results/capture/packets.parquet",
        model=f"results/convert/{DEPLOYED_POINT}",
    output:
        "results/flood.parquet",
    log:
        "results/logs/flood.log",
    benchmark:
        "results/benchmarks/flood.tsv"
    params:
        code=code_of("flood.py"),
        config=section("seed", "features", "flood"),
        testbed=THE_UPF,
        script="flood.py",
    message:
        "Pouring new flows into the flow table"
    script:
        "../scripts/on_upf.py"
