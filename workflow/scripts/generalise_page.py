"""How the forest generalises, to read. In: the scores as JSON. Out: Markdown."""

from pathlib import Path

from upfml.base import files
from upfml.glue import rule
from upfml.studies.generalise import page

with rule(snakemake), files.whole_file(Path(snakemake.output[0])) as partial:
    partial.write_text(page.markdown(files.read_json(snakemake.input[0])))
