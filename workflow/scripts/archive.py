"""Pack a finished run. In: its files, configuration and figures' rules. Out: a zip that is an RO-Crate."""

from pathlib import Path

from upfml.base import files
from upfml.glue import rule
from upfml.report import archive

with rule(snakemake), files.whole_file(snakemake.output[0]) as partial:
    archive.pack(
        partial,
        snakemake.params.made_by,
        snakemake.params.drawings,
        snakemake.params.config,
        files.read_json(snakemake.input.provenance),
        Path(snakemake.params.root),
    )
