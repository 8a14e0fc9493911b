"""Draw the flow table under a flood. In: table flood. Out: PDF and PNG."""

from upfml import tables
from upfml.figures import flow_table, style
from upfml.flood import TRACE_S
from upfml.glue import rule

with rule(snakemake):
    figure = flow_table.draw(tables.read(snakemake.input[0], tables.FLOOD), TRACE_S)
    style.save(figure, snakemake.output.pdf, snakemake.output.png)
