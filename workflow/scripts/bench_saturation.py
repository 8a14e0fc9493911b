"""Saturate the live UPF. In: a trained forest. Out: results/bench/saturation.csv."""

import joblib

from upfml.base import files
from upfml.glue import rule
from upfml.studies.bench import saturation

with rule(snakemake):
    table = saturation.measure(joblib.load(snakemake.input.forest), snakemake.params.config)
    files.write_csv(table, snakemake.output[0])
