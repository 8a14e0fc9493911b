"""The report's opening page. In: metrics, exactness, both comparisons, breaks, provenance. Out: reStructuredText."""

from pathlib import Path

from upfml.base import tables
from upfml.glue import rule
from upfml.report import comparison, firstpage

with rule(snakemake):
    inputs = snakemake.input
    with tables.whole_file(Path(snakemake.output[0])) as partial:
        partial.write_text(
            firstpage.page(
                tables.read(inputs.metrics, tables.METRICS),
                tables.read_json(inputs.exactness),
                [comparison.Row(**row) for row in tables.read_json(inputs.comparison)],
                tables.read_json(inputs.breaks),
                tables.read_json(inputs.paper_vs_here),
                tables.read_json(inputs.provenance),
            )
        )
