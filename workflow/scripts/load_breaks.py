"""Find where each arm breaks. In: table load. Out: results/load/breaks.json."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.studies.load import breaks

with rule(snakemake):
    files.write_json(breaks.find(files.read(snakemake.input[0], tables.LOAD)), snakemake.output[0])
