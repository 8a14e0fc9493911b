"""Every number of every trial, to read. In: metrics. Out: HTML."""

from pathlib import Path

from upfml.base import files, pages, tables
from upfml.glue import rule
from upfml.report import appendix

with rule(snakemake), files.whole_file(Path(snakemake.output[0])) as partial:
    partial.write_text(pages.document(appendix.of_metrics(files.read(snakemake.input[0], tables.METRICS))))
