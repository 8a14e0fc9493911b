"""Draw what each cause costs. In: the study as JSON. Out: PDF and PNG."""

from upfml.base import files
from upfml.glue import rule
from upfml.report.figures import accuracy_causes, style

with rule(snakemake):
    style.save(
        accuracy_causes.draw(files.read_json(snakemake.input[0])),
        snakemake.output.pdf,
        snakemake.output.png,
        note=snakemake.params.note,
    )
