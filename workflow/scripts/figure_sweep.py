"""Draw the sweep. In: its table. Out: PDF and PNG."""

from upfml import tables
from upfml.figures import style, sweep
from upfml.glue import rule

with rule(snakemake):
    figure = sweep.draw(tables.read(snakemake.input[0], tables.SWEEP), snakemake.params.window_ms)
    style.save(figure, snakemake.output.pdf, snakemake.output.png)
