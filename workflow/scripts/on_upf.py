"""Run another script where the UPF is, whose kernel and CPUs it is about. params: testbed, and script, its name."""

from upfml.glue import rule
from upfml.testbed.ssh import elsewhere

with rule(snakemake):
    elsewhere.run(snakemake, snakemake.params.script)
