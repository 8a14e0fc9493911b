"""Draw what each cause costs. In: the study as JSON. Out: PDF and PNG."""

from upfml import tables
from upfml.figures import accuracy_causes, style
from upfml.glue import rule

with rule(snakemake):
    style.save(accuracy_causes.draw(tables.read_json(snakemake.input[0])), snakemake.output.pdf, snakemake.output.png)
