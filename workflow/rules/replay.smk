# In place of the capture stage: the training trace from captures of the user's own (config: replay). No test bed.

import os

from upfml.base import contents

CAPTURES = [capture["file"] for capture in config["replay"]]
# Snakemake would take what another configuration left in results/capture, rather than say that an input is missing.
for file in CAPTURES:
    if not os.path.isfile(file):
        raise WorkflowError(f"config: replay: there is no file {file}\n  remedy: give its path from {os.getcwd()}")


rule replay:
    input:
        # By content, not by time: a capture that takes another's place may be the older one.
        ancient(CAPTURES),
    output:
        packets="results/capture/packets.parquet",
        flows="results/capture/flows.parquet",
        loss="results/capture/loss.json",
        run="results/capture/run.json",
        provenance="results/capture/provenance.json",
    log:
        "results/logs/replay.log",
    benchmark:
        "results/benchmarks/replay.tsv"
    params:
        code=code_of("replay.py"),
        config=section("flow_table", "replay"),
        contents=[contents.sha256(Path(file)) for file in CAPTURES],
    message:
        "Replaying {input} through the collector"
    script:
        "../scripts/replay.py"
