"""How many trials are needed. In: turns and samples of the first batches. Out: the number of batches, and why."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.report import metrics
from upfml.run import trials

with rule(snakemake):
    enough = trials.enough(
        snakemake.params.config,
        metrics.gather(snakemake.input.turns, tables.TURNS),
        metrics.gather(snakemake.input.samples, tables.TURN_SAMPLES),
    )
    files.write_json(enough, snakemake.output[0])
