"""A batch of measured trials. In: config, traffic, converted model. Out: the batch's folder."""

from pathlib import Path

from upfml.glue import rule
from upfml.run import trials

with rule(snakemake):
    trials.run(
        snakemake.params.config,
        int(snakemake.wildcards.batch),
        ladder=Path(snakemake.input.ladder),
        control=Path(snakemake.input.control),
        model=Path(snakemake.input.model),
        code=snakemake.params.code,
        out=Path(snakemake.output.run).parent,
    )
