"""How the forest generalises, to read. In: the scores as JSON. Out: Markdown."""

from pathlib import Path

from upfml.base import tables
from upfml.glue import rule
from upfml.studies.generalise import page

with rule(snakemake), tables.whole_file(Path(snakemake.output[0])) as partial:
    partial.write_text(page.markdown(tables.read_json(snakemake.input[0])))
