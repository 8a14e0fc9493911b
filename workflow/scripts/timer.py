"""Time the clock. In: nothing but a machine that is fit. Out: ns a reading, in kernel, C and Python."""

from upfml.base import files
from upfml.glue import rule
from upfml.studies import timer

with rule(snakemake):
    files.write_json(timer.measure(), snakemake.output[0])
