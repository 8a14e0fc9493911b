"""Gather the sweep. In: one JSON a point. Out: the sweep table."""

import pandas as pd

from upfml.base import files, tables
from upfml.glue import rule

with rule(snakemake):
    rows = pd.DataFrame([files.read_json(path) for path in snakemake.input])
    files.write(tables.typed(rows, tables.SWEEP), snakemake.output[0], tables.SWEEP)
