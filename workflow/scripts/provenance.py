"""Provenance of the whole experiment. In: config, provenance of every run. Out: one JSON for all of it."""

from upfml.base import files, provenance
from upfml.glue import rule

with rule(snakemake):
    runs = {path: files.read_json(path) for path in [snakemake.input.capture, *snakemake.input.runs]}
    (captured, *_) = runs.values()
    record = provenance.of(
        snakemake.params.config,
        {fact: captured[fact] for fact in provenance.machine()},
        note=snakemake.params.config["note"],
        testbed=captured["testbed"],
        start=min(run["start"] for run in runs.values()),
        end=max(run["end"] for run in runs.values()),
        runs=list(runs),
        xdp_modes=sorted({mode for run in runs.values() for mode in run["xdp_modes"]}),
    )
    files.write_json(record, snakemake.output[0])
