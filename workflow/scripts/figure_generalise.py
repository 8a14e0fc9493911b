"""Draw how the forest generalises. In: the scores as JSON. Out: PDF and PNG."""

from upfml import tables
from upfml.figures import generalise, style
from upfml.glue import rule

with rule(snakemake):
    style.save(generalise.draw(tables.read_json(snakemake.input[0])), snakemake.output.pdf, snakemake.output.png)
