"""Pack a finished run. In: its files, configuration and figures' rules. Out: a zip that is an RO-Crate."""

from pathlib import Path

from upfml.base import files
from upfml.glue import rule
from upfml.report import archive, runs

with rule(snakemake), files.whole_file(snakemake.output[0]) as partial:
    records = {path: files.read_json(path) for path in snakemake.input.records}
    archive.check(runs.described(records, snakemake.params.now))
    archive.pack(
        partial,
        snakemake.params.made_by,
        snakemake.params.drawings,
        snakemake.params.config,
        files.read_json(snakemake.input.provenance),
        Path(snakemake.params.root),
    )
