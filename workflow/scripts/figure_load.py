"""Draw a sweep of the load. In: table load. Out: PDF and PNG."""

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.glue import rule
from upfml.report.figures import load, style

with rule(snakemake):
    rows = files.read(snakemake.input[0], tables.LOAD)
    figure = load.draw(Arms.of(snakemake.params.arms), rows, snakemake.params.sweep, snakemake.params.window_ms)
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
