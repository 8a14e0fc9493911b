"""What each long rule took, to read. In: files of `benchmark:`. Out: HTML."""

from pathlib import Path

from upfml.base import files, pages
from upfml.glue import rule
from upfml.report import benchmarks

with rule(snakemake), files.whole_file(Path(snakemake.output[0])) as partial:
    partial.write_text(pages.document(benchmarks.markdown(map(Path, snakemake.input))))
