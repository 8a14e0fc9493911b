# The training trace: traffic through N3, every packet's fields from the collector in XDP.

CAPTURE = {
    "code": code_of("capture.py", UNUSED_BY_TRACES),
    "config": section("seed", "testbed", "traffic", "flow_table", "capture"),
}


rule capture:
    input:
        testbed=ancient("results/testbed.json"),
        ladder="results/traffic/ladder",
        control="results/traffic/control",
    output:
        packets="results/capture/packets.parquet",
        flows="results/capture/flows.parquet",
        rungs="results/capture/rungs.parquet",
        loss="results/capture/loss.json",
        run="results/capture/run.json",
        provenance="results/capture/provenance.json",
        sampling=directory("results/capture/sampling"),
    log:
        "results/logs/capture.log",
    benchmark:
        "results/benchmarks/capture.tsv"
    threads: ALL_CORES
    params:
        **CAPTURE,
    message:
        "Capturing the training trace for {params.config[capture][duration_s]} s"
    script:
        "../scripts/capture.py"
