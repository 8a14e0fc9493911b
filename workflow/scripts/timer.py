"""Time the clock. In: nothing but a machine that is fit. Out: ns a reading, in kernel, C and Python."""

from upfml import tables, timer
from upfml.glue import rule

with rule(snakemake):
    tables.write_json(timer.measure(), snakemake.output[0])
