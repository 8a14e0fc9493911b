"""The live run of exactness. In: config, traffic, model. Out: its packets, and what both arms decided on them."""

from pathlib import Path

from upfml.arms import Arm
from upfml.glue import rule
from upfml.run import steps, trace

with rule(snakemake):
    config = snakemake.params.config
    trace.run(
        config,
        Arm("exactness", when=config["exactness"]["when"]),
        seed=steps.trial_seed(config, trace.EXACTNESS_TRIAL),
        warmup_s=0,
        duration_s=config["exactness"]["duration_s"],
        ladder=Path(snakemake.input.ladder),
        control=Path(snakemake.input.control),
        model=Path(snakemake.input.model),
        code=snakemake.params.code,
        out=Path(snakemake.output.packets).parent,
    )
