# Packets to windows: features, true class, and the side of each split.


rule windows:
    input:
        packets="results/capture/packets.parquet",
        flows="results/capture/flows.parquet",
    output:
        windows="results/windows/windows.parquet",
        summary="results/windows/windows.json",
    log:
        "results/logs/windows.log",
    benchmark:
        "results/benchmarks/windows.tsv"
    params:
        code=code_of("windows.py"),
        config=section("seed", "features"),
        test_share=config["model"]["test_share"],
        urllc_per_embb=config["model"]["urllc_per_embb"],
    message:
        "Computing windows and features"
    script:
        "../scripts/windows.py"
