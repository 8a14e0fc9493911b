"""A flood of new flows. In: the training trace and a converted model. Out: table flood."""

from pathlib import Path

from upfml.base import files, tables
from upfml.glue import rule
from upfml.packets.features import Definition
from upfml.studies import flood

with rule(snakemake):
    config = snakemake.params.config
    packets = files.read(snakemake.input.packets, tables.PACKETS)
    begin_ns = packets["t_ns"].iloc[0]
    rows = flood.study(
        packets[packets["t_ns"] < begin_ns + flood.TRACE_S * 10**9],
        Path(snakemake.input.model),
        Definition.of(config["features"]),
        config["seed"],
        config["flood"]["packets"],
    )
    files.write(rows, snakemake.output[0], tables.FLOOD)
