"""One point of the sweep. In: forest, baselines, converted model, packets, windows. Out: a row of its table as JSON."""

from pathlib import Path

import joblib

from upfml.base import files, tables
from upfml.bpf.flowtable import FlowTable
from upfml.glue import rule
from upfml.model import baselines
from upfml.packets.features import Definition
from upfml.studies import sweep

with rule(snakemake):
    row = sweep.measure(
        joblib.load(snakemake.input.forest),
        baselines.read(snakemake.input.baselines)["random"],
        Path(snakemake.input.model),
        files.read(snakemake.input.packets, tables.PACKETS),
        files.read(snakemake.input.windows, tables.WINDOWS),
        Definition.of(snakemake.params.config["features"]),
        FlowTable.of(snakemake.params.config["flow_table"]),
    )
    files.write_json({**snakemake.params.point, **row}, snakemake.output[0])
