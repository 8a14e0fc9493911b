"""Fit the baselines. In: windows. Out: majority class and one threshold of each split, as JSON."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.model import baselines
from upfml.model.baselines import Baselines

with rule(snakemake):
    windows = files.read(snakemake.input[0], tables.WINDOWS)
    baselines.write(
        {split: Baselines.fit(windows, f"split_{split}") for split in baselines.SPLITS}, snakemake.output[0]
    )
