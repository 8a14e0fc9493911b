"""Draw the flow table under a flood. In: table flood. Out: PDF and PNG."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.report.figures import flow_table, style
from upfml.studies.flood import TRACE_S

with rule(snakemake):
    figure = flow_table.draw(files.read(snakemake.input[0], tables.FLOOD), TRACE_S)
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
