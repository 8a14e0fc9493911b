"""Draw accuracy. In: decisions and turns of all batches, scores of the training. Out: PDF and PNG."""

from upfml import metrics, tables
from upfml.figures import accuracy, style
from upfml.glue import rule

with rule(snakemake):
    figure = accuracy.draw(
        metrics.gather(snakemake.input.decisions, tables.TURN_DECISIONS),
        metrics.gather(snakemake.input.turns, tables.TURNS),
        tables.read_json(snakemake.input.scores),
        snakemake.params.window_ms,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png)
