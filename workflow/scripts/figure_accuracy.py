"""Draw accuracy. In: decisions and turns of all batches, scores of the training, baselines. Out: PDF and PNG."""

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.glue import rule
from upfml.model import baselines
from upfml.report import metrics
from upfml.report.figures import accuracy, style

with rule(snakemake):
    figure = accuracy.draw(
        Arms.of(snakemake.params.arms),
        metrics.gather(snakemake.input.decisions, tables.TURN_DECISIONS),
        metrics.gather(snakemake.input.turns, tables.TURNS),
        files.read_json(snakemake.input.scores),
        baselines.read(snakemake.input.baselines)["random"],
        snakemake.params.window_ms,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
