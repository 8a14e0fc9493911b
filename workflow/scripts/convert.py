"""Convert one forest. In: the forest. Out: C for user space (compiled, too) and for the kernel."""

from pathlib import Path

import joblib

from upfml import convert
from upfml.glue import rule

with rule(snakemake):
    folder = Path(snakemake.output.parts).parent
    convert.write(joblib.load(snakemake.input[0]), snakemake.params.division, snakemake.params.engine, folder)
    convert.shared_library(folder)
