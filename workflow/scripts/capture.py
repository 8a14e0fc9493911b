"""The training trace. In: config, video and sender. Out: packets, flows (true classes), rungs, loss, run facts."""

from pathlib import Path

from upfml.arms import Arm
from upfml.glue import rule
from upfml.run import steps, trace

with rule(snakemake):
    config = snakemake.params.config
    trace.run(
        config,
        Arm("capture"),
        seed=steps.trial_seed(config, 0),
        **config["capture"],
        ladder=Path(snakemake.input.ladder),
        control=Path(snakemake.input.control),
        model=None,
        code=snakemake.params.code,
        out=Path(snakemake.output.packets).parent,
    )
