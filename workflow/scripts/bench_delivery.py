"""Time ways to deliver a decision. In: a converted model. Out: results/bench/delivery.csv."""

from pathlib import Path

from upfml.base import files
from upfml.glue import rule
from upfml.studies.bench import delivery

with rule(snakemake):
    table = delivery.measure(Path(snakemake.input.model), snakemake.params.repeats)
    files.write_csv(table, snakemake.output[0])
