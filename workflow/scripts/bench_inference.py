"""Time the engines' inference. In: the windows. Out: results/bench/inference.csv."""

from upfml import tables
from upfml.bench import inference
from upfml.glue import rule

with rule(snakemake):
    table = inference.measure(tables.read(snakemake.input[0], tables.WINDOWS), snakemake.params.config)
    tables.write_csv(table, snakemake.output[0])
