"""Draw latency. In: decisions and turns of all batches, the timer. Out: PDF and PNG."""

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.glue import rule
from upfml.report import metrics
from upfml.report.figures import latency, style

with rule(snakemake):
    figure = latency.draw(
        Arms.of(snakemake.params.arms),
        metrics.gather(snakemake.input.decisions, tables.TURN_DECISIONS),
        metrics.gather(snakemake.input.turns, tables.TURNS),
        files.read_json(snakemake.input.timer),
        snakemake.params.window_ms,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
