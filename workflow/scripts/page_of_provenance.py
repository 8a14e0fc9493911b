"""Provenance, to read. In: provenance as JSON, and the configuration. Out: HTML."""

from pathlib import Path

from upfml.base import pages, tables
from upfml.glue import rule

with rule(snakemake), tables.whole_file(Path(snakemake.output[0])) as partial:
    record = tables.read_json(snakemake.input[0])
    partial.write_text(pages.document(pages.of_provenance(record, snakemake.params.config)))
