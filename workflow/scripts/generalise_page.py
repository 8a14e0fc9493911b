"""How the forest generalises, to read. In: the scores as JSON. Out: Markdown."""

from pathlib import Path

from upfml import tables
from upfml.generalise import page
from upfml.glue import rule

with rule(snakemake), tables.whole_file(Path(snakemake.output[0])) as partial:
    partial.write_text(page.markdown(tables.read_json(snakemake.input[0])))
