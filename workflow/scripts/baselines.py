"""Fit the baselines. In: windows. Out: majority class and one threshold of each split, as JSON."""

from upfml import baselines, tables
from upfml.baselines import Baselines
from upfml.glue import rule

with rule(snakemake):
    windows = tables.read(snakemake.input[0], tables.WINDOWS)
    baselines.write(
        {split: Baselines.fit(windows, f"split_{split}") for split in baselines.SPLITS}, snakemake.output[0]
    )
