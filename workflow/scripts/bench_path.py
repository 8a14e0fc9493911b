"""Time a packet's way step by step. In: a converted model. Out: results/bench/path.csv."""

from pathlib import Path

from upfml.base import files
from upfml.bpf.flowtable import FlowTable
from upfml.glue import rule
from upfml.studies.bench import path

with rule(snakemake):
    config = snakemake.params.config
    table = path.measure(
        Path(snakemake.input.model),
        FlowTable.of(config["flow_table"]),
        config["bench"]["flows"],
        config["bench"]["repeats"],
    )
    files.write_csv(table, snakemake.output[0])
