"""The samples of one run. In: the folder of raw readings. Out: the samples table."""

from pathlib import Path

from upfml import sampling, tables
from upfml.glue import rule

with rule(snakemake):
    tables.write(sampling.table(Path(snakemake.input[0])), snakemake.output[0], tables.SAMPLES)
