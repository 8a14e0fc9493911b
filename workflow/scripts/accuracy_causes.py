"""What each cause costs. In: packets and flows of the capture. Out: the study as JSON."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.studies.causes import study
from upfml.studies.causes.arithmetic import Trace

with rule(snakemake):
    model, config = snakemake.params.model, snakemake.params.config
    trace = Trace.of(
        files.read(snakemake.input.packets, tables.PACKETS), files.read(snakemake.input.flows, tables.FLOWS)
    )
    found = study.run(
        trace,
        int(config["features"]["window_ms"] * 1_000_000),
        {**model["deployed"], "kind": model["kind"], "min_samples_leaf": model["min_samples_leaf"]},
        config["seed"],
        config["causes"]["repetitions"],
    )
    files.write_json(found, snakemake.output[0])
