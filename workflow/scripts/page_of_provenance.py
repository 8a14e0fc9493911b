"""Provenance, to read. In: provenance as JSON, and the configuration. Out: HTML."""

from pathlib import Path

from upfml.base import files, pages
from upfml.glue import rule
from upfml.report import appendix

with rule(snakemake), files.whole_file(Path(snakemake.output[0])) as partial:
    record = files.read_json(snakemake.input[0])
    partial.write_text(pages.document(appendix.of_provenance(record, snakemake.params.config)))
