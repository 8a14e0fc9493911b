"""One scenario's traffic. In: its config, video and sender. Out: packets, flows (true classes), loss, run facts."""

from pathlib import Path

from upfml.arms import Arm
from upfml.glue import rule
from upfml.run import trace
from upfml.studies.generalise import evaluation

with rule(snakemake):
    config = snakemake.params.config
    trace.run(
        config,
        Arm("capture"),
        seed=evaluation.traffic_seed(config, snakemake.wildcards.scenario),
        **config["generalise"],
        ladder=Path(snakemake.input.ladder),
        control=Path(snakemake.input.control),
        model=None,
        code=snakemake.params.code,
        out=Path(snakemake.output.packets).parent,
    )
