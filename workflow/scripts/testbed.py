"""Build the test bed, send traffic through it, take it down. In: config. Out: its facts and what was seen on N3."""

from pathlib import Path
from tempfile import TemporaryDirectory

from upfml import experiment, tables
from upfml.glue import rule
from upfml.testbed.check import check

with rule(snakemake), TemporaryDirectory() as work, experiment.testbed(snakemake.params.config) as bed:
    tables.write_json(check(bed, Path(work)), snakemake.output[0])
