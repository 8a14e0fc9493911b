"""Draw accuracy. In: decisions and turns of all batches, scores of the training, baselines. Out: PDF and PNG."""

from upfml import baselines, metrics, tables
from upfml.figures import accuracy, style
from upfml.glue import rule

with rule(snakemake):
    figure = accuracy.draw(
        metrics.gather(snakemake.input.decisions, tables.TURN_DECISIONS),
        metrics.gather(snakemake.input.turns, tables.TURNS),
        tables.read_json(snakemake.input.scores),
        baselines.read(snakemake.input.baselines)["random"],
        snakemake.params.window_ms,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png)
