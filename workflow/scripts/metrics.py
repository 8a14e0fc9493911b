"""Sum up every run. In: decisions, samples and losses of all runs, scores of the training. Out: the metrics table."""

import pandas as pd

from upfml import metrics, tables
from upfml.glue import rule

with rule(snakemake):
    runs = metrics.from_runs(
        metrics.gather(snakemake.input.decisions, tables.DECISIONS),
        metrics.gather(snakemake.input.samples, tables.SAMPLES),
        metrics.gather_losses(snakemake.input.losses),
    )
    offline = metrics.from_scores(tables.read_json(snakemake.input.scores), snakemake.params.point)
    tables.write(pd.concat([runs, offline], ignore_index=True), snakemake.output[0], tables.METRICS)
