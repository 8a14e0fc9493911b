"""Time the lock on a flow. In: a converted model. Out: results/bench/lock.csv."""

from pathlib import Path

from upfml import tables
from upfml.bench import lock
from upfml.features import Definition
from upfml.glue import rule

with rule(snakemake):
    table = lock.measure(Path(snakemake.input.model).parent, Definition.of(snakemake.params.config["features"]))
    tables.write_csv(table, snakemake.output[0])
