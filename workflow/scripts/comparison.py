"""Compare the arms. In: metrics. Out: differences between arms with intervals and effect sizes."""

from upfml import comparison, tables
from upfml.glue import rule

with rule(snakemake):
    metrics = tables.read(snakemake.input[0], tables.METRICS)
    tables.write_json(comparison.compare(metrics), snakemake.output[0])
