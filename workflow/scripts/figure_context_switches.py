"""Draw context switches (figure 7). In: samples and turns of all batches. Out: PDF and PNG."""

from upfml.arms import Arms
from upfml.base import tables
from upfml.glue import rule
from upfml.report import metrics
from upfml.report.figures import context_switches, style

with rule(snakemake):
    figure = context_switches.draw(
        Arms.of(snakemake.params.arms),
        metrics.gather(snakemake.input.samples, tables.TURN_SAMPLES),
        metrics.gather(snakemake.input.turns, tables.TURNS),
        snakemake.params.window_ms,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
