"""Draw the sweep. In: its table. Out: PDF and PNG."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.report.figures import style, sweep

with rule(snakemake):
    figure = sweep.draw(files.read(snakemake.input[0], tables.SWEEP), snakemake.params.window_ms)
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
