"""Compile the URLLC sender. Out: its executable."""

from pathlib import Path

from upfml.glue import rule
from upfml.traffic import control

with rule(snakemake):
    control.build(Path(snakemake.output[0]).parent)
