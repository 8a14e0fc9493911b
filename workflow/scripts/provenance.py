"""Provenance of the whole experiment. In: config, provenance of every run. Out: one JSON for all of it."""

from upfml.base import files, provenance
from upfml.glue import rule
from upfml.report import runs

with rule(snakemake):
    records = {path: files.read_json(path) for path in snakemake.input}
    (captured, *_) = records.values()
    config = snakemake.params.config
    record = {
        "head": snakemake.params.head,
        "runs": runs.described(records, snakemake.params.now),
        "config_sha256": provenance.config_sha256(config),
        "seed": config["seed"],
        "note": config["note"],
        **{fact: captured[fact] for fact in [*provenance.machine(), "clock", "testbed"]},
        "start": min(run["start"] for run in records.values()),
        "end": max(run["end"] for run in records.values()),
        "xdp_modes": sorted({mode for run in records.values() for mode in run["xdp_modes"]}),
    }
    files.write_json(record, snakemake.output[0])
