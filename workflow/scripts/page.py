"""A page of the report. In: Markdown. Out: the same as HTML."""

from pathlib import Path

from upfml.base import files, pages
from upfml.glue import rule

with rule(snakemake), files.whole_file(Path(snakemake.output[0])) as partial:
    partial.write_text(pages.document(Path(snakemake.input[0]).read_text()))
