"""Time the lock on a flow. In: a converted model. Out: results/bench/lock.csv."""

from pathlib import Path

from upfml.base import files
from upfml.glue import rule
from upfml.packets.features import Definition
from upfml.studies.bench import lock

with rule(snakemake):
    table = lock.measure(Path(snakemake.input.model), Definition.of(snakemake.params.config["features"]))
    files.write_csv(table, snakemake.output[0])
