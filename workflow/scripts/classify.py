"""One block of measured runs. In: config, traffic, converted model. Out: a folder for each arm's run."""

import logging
from pathlib import Path

from upfml import experiment
from upfml.glue import rule

with rule(snakemake):
    config, wildcards = snakemake.params.config, snakemake.wildcards
    trial = int(wildcards.trial)
    order = experiment.order_of_arms(config, trial)
    logging.info("block %d: %s", trial, ", ".join(order))
    for arm in order:
        experiment.run(
            config,
            arm,
            seed=experiment.trial_seed(config, trial),
            warmup_s=config["runs"]["warmup_s"],
            duration_s=config["runs"]["duration_s"],
            ladder=Path(snakemake.input.ladder),
            control=Path(snakemake.input.control),
            model=Path(snakemake.input.model).parent,
            out=Path(f"results/runs/{arm}/{wildcards.point}/trial-{trial}"),
        )
