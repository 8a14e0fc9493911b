"""Time a packet's way step by step. In: a converted model. Out: results/bench/path.csv."""

from pathlib import Path

from upfml import tables
from upfml.bench import path
from upfml.flowtable import FlowTable
from upfml.glue import rule

with rule(snakemake):
    config = snakemake.params.config
    table = path.measure(
        Path(snakemake.input.model).parent,
        FlowTable.of(config["flow_table"]),
        config["bench"]["flows"],
        config["bench"]["repeats"],
    )
    tables.write_csv(table, snakemake.output[0])
