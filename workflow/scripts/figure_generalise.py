"""Draw how the forest generalises. In: the scores as JSON. Out: PDF and PNG."""

from upfml.base import files
from upfml.glue import rule
from upfml.report.figures import generalise, style

with rule(snakemake):
    style.save(
        generalise.draw(files.read_json(snakemake.input[0])),
        snakemake.output.pdf,
        snakemake.output.png,
        note=snakemake.params.note,
    )
