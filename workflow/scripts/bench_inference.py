"""Time the engines' inference. In: the windows. Out: results/bench/inference.csv."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.studies.bench import inference

with rule(snakemake):
    table = inference.measure(files.read(snakemake.input[0], tables.WINDOWS), snakemake.params.config)
    files.write_csv(table, snakemake.output[0])
