"""Sum up every run. In: decisions, samples and turns of all batches, scores, baselines. Out: the metrics table."""

import pandas as pd

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.glue import rule
from upfml.model import baselines
from upfml.report import metrics

with rule(snakemake):
    arms = Arms.of(snakemake.params.arms)
    decisions = metrics.gather(snakemake.input.decisions, tables.TURN_DECISIONS)
    turns = metrics.gather(snakemake.input.turns, tables.TURNS)
    runs = metrics.from_runs(arms, decisions, metrics.gather(snakemake.input.samples, tables.TURN_SAMPLES), turns)
    offline = metrics.from_scores(files.read_json(snakemake.input.scores))
    beside = metrics.from_baselines(arms, decisions, baselines.read(snakemake.input.baselines)["random"])
    rows = pd.concat([runs, beside, offline], ignore_index=True)
    files.write(metrics.with_modes(rows, turns), snakemake.output[0], tables.METRICS)
