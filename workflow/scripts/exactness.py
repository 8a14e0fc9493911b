"""Exactness. In: forest, its C, baselines, training trace, live run where there is one. Out: results/exactness.json."""

from pathlib import Path

import joblib

from upfml.base import files, tables
from upfml.bpf.flowtable import FlowTable
from upfml.glue import rule
from upfml.model import baselines
from upfml.packets.features import Definition
from upfml.studies import exactness

with rule(snakemake):
    config, inputs = snakemake.params.config, snakemake.input
    model = exactness.Model(
        joblib.load(inputs.forest),
        Path(inputs.model),
        config["convert"]["voting"],
        Definition.of(config["features"]),
        config["exactness"]["when"],
    )
    stump = baselines.read(inputs.baselines)["random"]
    packets = files.read(inputs.packets, tables.PACKETS)
    flows = files.read(inputs.flows, tables.FLOWS)
    decisions = exactness.replayed(model, packets, FlowTable.of(config["flow_table"]))
    result = {"replayed": exactness.judge(model, stump, packets, flows, decisions)}
    if inputs.live:
        live = Path(inputs.live).parent
        packets = files.read(live / "packets.parquet", tables.PACKETS)
        flows = files.read(live / "flows.parquet", tables.FLOWS)
        sides = ("kernel", "user", "native")
        decisions = {side: files.read(live / f"{side}.parquet", tables.DECISIONS) for side in sides}
        result["live"] = exactness.judge(model, stump, packets, flows, decisions)
        result["live_events"] = files.read_json(live / "loss.json")
    files.write_json({**result, "settings": config}, snakemake.output[0])
