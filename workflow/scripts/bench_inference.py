"""Time the engines' inference. In: the windows. Out: results/bench/inference.csv."""

from upfml.base import tables
from upfml.glue import rule
from upfml.studies.bench import inference

with rule(snakemake):
    table = inference.measure(tables.read(snakemake.input[0], tables.WINDOWS), snakemake.params.config)
    tables.write_csv(table, snakemake.output[0])
