"""Load the UPF until something breaks. In: config, converted model. Out: table load."""

from pathlib import Path

from upfml import tables
from upfml.glue import rule
from upfml.load import turns

with rule(snakemake):
    rows = turns.measure(snakemake.params.config, Path(snakemake.input.model).parent)
    tables.write(rows, snakemake.output[0], tables.LOAD)
