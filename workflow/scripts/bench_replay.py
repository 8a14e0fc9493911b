"""Time the replay of a capture. In: the training trace and a converted model. Out: results/bench/replay.csv."""

from pathlib import Path

from upfml.base import tables
from upfml.glue import rule
from upfml.studies.bench import replay

with rule(snakemake):
    packets = tables.read(snakemake.input.packets, tables.PACKETS)
    table = replay.measure(packets, Path(snakemake.input.model).parent)
    tables.write_csv(table, snakemake.output[0])
