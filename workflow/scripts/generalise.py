"""Judge the forest on every scenario. In: packets, flows, forest, baselines. Out: judged windows, and the scores."""

import joblib
import pandas as pd

from upfml.base import files, tables
from upfml.glue import rule
from upfml.model import baselines
from upfml.packets import windows
from upfml.packets.features import Definition
from upfml.studies.generalise import evaluation

with rule(snakemake):
    inputs, config = snakemake.input, snakemake.params.config
    definition = Definition.of(config["features"])
    forest, stump = joblib.load(inputs.forest), baselines.read(inputs.baselines)["random"]
    trained = files.read(inputs.trained_windows, tables.WINDOWS)
    others = evaluation.retrained(trained, snakemake.params.model, config["seed"])
    held_out = trained[trained["split_random"] == "test"]
    rows, _ = evaluation.judge(
        evaluation.HELD_OUT, held_out, files.read(inputs.trained_flows, tables.FLOWS), forest, stump
    )
    judged = [rows]
    scenarios = [{"scenario": evaluation.HELD_OUT, **evaluation.evaluate(rows, others, config["seed"])}]
    found = zip(snakemake.params.scenarios, inputs.packets, inputs.flows, inputs.losses, inputs.runs, strict=True)
    for described, packets, flows, loss, run in found:
        closed = windows.closed(files.read(packets, tables.PACKETS), definition)
        rows, unknown = evaluation.judge(described["name"], closed, files.read(flows, tables.FLOWS), forest, stump)
        judged.append(rows)
        scenarios.append(
            {
                "scenario": described["name"],
                "differs": {key: value for key, value in described.items() if key != "name"},
                "run": evaluation.facts(files.read_json(run), files.read_json(loss)),
                "windows_of_unknown_flows": unknown,
                **evaluation.evaluate(rows, others, config["seed"]),
            }
        )
    files.write(pd.concat(judged, ignore_index=True), snakemake.output.judged, tables.JUDGED)
    files.write_json({"method": evaluation.method(definition, stump), "scenarios": scenarios}, snakemake.output.summary)
