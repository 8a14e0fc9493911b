"""One point of the sweep. In: forest, baselines, converted model, packets, windows. Out: a row of its table as JSON."""

from pathlib import Path

import joblib

from upfml import baselines, sweep, tables
from upfml.features import Definition
from upfml.flowtable import FlowTable
from upfml.glue import rule

with rule(snakemake):
    row = sweep.measure(
        joblib.load(snakemake.input.forest),
        baselines.read(snakemake.input.baselines)["random"],
        Path(snakemake.input.model).parent,
        tables.read(snakemake.input.packets, tables.PACKETS),
        tables.read(snakemake.input.windows, tables.WINDOWS),
        Definition.of(snakemake.params.config["features"]),
        FlowTable.of(snakemake.params.config["flow_table"]),
    )
    tables.write_json({**snakemake.params.point, **row}, snakemake.output[0])
