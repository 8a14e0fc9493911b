"""Time the replay of a capture. In: the training trace and a converted model. Out: results/bench/replay.csv."""

from pathlib import Path

from upfml.base import files, tables
from upfml.glue import rule
from upfml.studies.bench import replay

with rule(snakemake):
    packets = files.read(snakemake.input.packets, tables.PACKETS)
    table = replay.measure(packets, Path(snakemake.input.model))
    files.write_csv(table, snakemake.output[0])
