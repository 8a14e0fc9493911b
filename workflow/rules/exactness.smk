# Do kernel, user space and scikit-learn agree with the reference on every window, live and replayed?

EXACTNESS_RUN = {
    "code": code_of("exactness_run.py"),
    "config": section("seed", "testbed", "traffic", "features", "flow_table", "exactness"),
}


rule exactness_run:
    input:
        testbed=ancient("results/testbed.json"),
        ladder="results/traffic/ladder",
        control="results/traffic/control",
        model=f"results/convert/{DEPLOYED_POINT}",
    output:
        packets="results/exactness/live/packets.parquet",
        kernel="results/exactness/live/kernel.parquet",
        user="results/exactness/live/user.parquet",
        native="results/exactness/live/native.parquet",
        flows="results/exactness/live/flows.parquet",
        rungs="results/exactness/live/rungs.parquet",
        loss="results/exactness/live/loss.json",
        run="results/exactness/live/run.json",
        provenance="results/exactness/live/provenance.json",
        sampling=directory("results/exactness/live/sampling"),
    log:
        "results/logs/exactness_run.log",
    benchmark:
        "results/benchmarks/exactness_run.tsv"
    threads: ALL_CORES
    params:
        **EXACTNESS_RUN,
    message:
        "Running kernel and user space on the same live packets for {params.config[exactness][duration_s]} s"
    script:
        "../scripts/exactness_run.py"


rule exactness:
    input:
        forest=f"results/train/{DEPLOYED_POINT}/forest.joblib",
        model=f"results/convert/{DEPLOYED_POINT}",
        baselines="results/train/baselines.json",
        packets="results/capture/packets.parquet",
        flows="results/capture/flows.parquet",
        live=[] if config["replay"] else rules.exactness_run.output.packets,
    output:
        "results/exactness.json",
    log:
        "results/logs/exactness.log",
    benchmark:
        "results/benchmarks/exactness.tsv"
    params:
        code=code_of("exactness.py"),
        config=section("features", "flow_table", "convert.voting", "exactness.when"),
        testbed=THE_UPF,
        script="exactness.py",
    message:
        "Comparing kernel, user space and scikit-learn with the reference"
    script:
        "../scripts/on_upf.py"
