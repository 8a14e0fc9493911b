"""Draw CPU usage (figure 6). In: samples and turns of all batches, metrics. Out: PDF and PNG."""

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.glue import rule
from upfml.report import metrics
from upfml.report.figures import cpu_usage, style

with rule(snakemake):
    figure = cpu_usage.draw(
        Arms.of(snakemake.params.arms),
        metrics.gather(snakemake.input.samples, tables.TURN_SAMPLES),
        metrics.gather(snakemake.input.turns, tables.TURNS),
        files.read(snakemake.input.metrics, tables.METRICS),
        snakemake.params.window_ms,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
