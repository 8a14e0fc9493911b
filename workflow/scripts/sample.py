"""The samples of a batch. In: the folder of raw readings, one folder in it a turn. Out: the samples table."""

from pathlib import Path

from upfml.base import files, tables
from upfml.glue import rule
from upfml.run import sampling

with rule(snakemake):
    files.write(sampling.turns(Path(snakemake.input[0])), snakemake.output[0], tables.TURN_SAMPLES)
