"""Draw a sweep of the load. In: table load. Out: PDF and PNG."""

from upfml import tables
from upfml.figures import load, style
from upfml.glue import rule

with rule(snakemake):
    rows = tables.read(snakemake.input[0], tables.LOAD)
    figure = load.draw(rows, snakemake.params.sweep, snakemake.params.window_ms)
    style.save(figure, snakemake.output.pdf, snakemake.output.png)
