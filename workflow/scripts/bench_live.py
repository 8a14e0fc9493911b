"""Saturate the live UPF. In: a trained forest. Out: results/bench/live.csv."""

import joblib

from upfml import tables
from upfml.bench import live
from upfml.glue import rule

with rule(snakemake):
    table = live.measure(joblib.load(snakemake.input.forest), snakemake.params.config)
    tables.write_csv(table, snakemake.output[0])
