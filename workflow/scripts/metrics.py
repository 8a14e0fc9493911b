"""Sum up every run. In: decisions, samples and turns of all batches, scores of the training. Out: the metrics table."""

import pandas as pd

from upfml import metrics, tables
from upfml.glue import rule

with rule(snakemake):
    runs = metrics.from_runs(
        metrics.gather(snakemake.input.decisions, tables.TURN_DECISIONS),
        metrics.gather(snakemake.input.samples, tables.TURN_SAMPLES),
        metrics.gather(snakemake.input.turns, tables.TURNS),
    )
    offline = metrics.from_scores(tables.read_json(snakemake.input.scores))
    tables.write(pd.concat([runs, offline], ignore_index=True), snakemake.output[0], tables.METRICS)
