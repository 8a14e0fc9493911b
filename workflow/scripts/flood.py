"""A flood of new flows. In: the training trace and a converted model. Out: table flood."""

from pathlib import Path

from upfml import flood, tables
from upfml.features import Definition
from upfml.glue import rule

with rule(snakemake):
    config = snakemake.params.config
    packets = tables.read(snakemake.input.packets, tables.PACKETS)
    begin_ns = packets["t_ns"].iloc[0]
    rows = flood.study(
        packets[packets["t_ns"] < begin_ns + flood.TRACE_S * 10**9],
        Path(snakemake.input.model).parent,
        Definition.of(config["features"]),
        config["seed"],
    )
    tables.write(rows, snakemake.output[0], tables.FLOOD)
