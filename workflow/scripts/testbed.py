"""Build the test bed, send traffic through it, take it down. In: config. Out: its facts and what was seen on N3."""

from pathlib import Path
from tempfile import TemporaryDirectory

from upfml.base import files
from upfml.glue import rule
from upfml.testbed.bed import bed_of
from upfml.testbed.check import check

with rule(snakemake), TemporaryDirectory() as work, bed_of(snakemake.params.config["testbed"]) as bed:
    files.write_json(check(bed, Path(work)), snakemake.output[0])
