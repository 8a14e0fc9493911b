"""Draw latency. In: decisions and losses of kernel and user. Out: PDF and PNG."""

from upfml import metrics, tables
from upfml.figures import latency, style
from upfml.glue import rule

with rule(snakemake):
    figure = latency.draw(
        metrics.gather(snakemake.input.decisions, tables.DECISIONS),
        metrics.gather_losses(snakemake.input.losses),
        snakemake.params.window_ms,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png)
