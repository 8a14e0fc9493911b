"""The report's opening page. In: metrics, exactness, both comparisons, breaks, provenance. Out: reStructuredText."""

from pathlib import Path

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.glue import rule
from upfml.report.comparison.rows import Row
from upfml.report.firstpage.page import page

with rule(snakemake):
    inputs = snakemake.input
    with files.whole_file(Path(snakemake.output[0])) as partial:
        partial.write_text(
            page(
                Arms.of(snakemake.params.arms),
                files.read(inputs.metrics, tables.METRICS),
                files.read_json(inputs.exactness),
                [Row(**row) for row in files.read_json(inputs.comparison)],
                files.read_json(inputs.breaks),
                files.read_json(inputs.paper_vs_here),
                files.read_json(inputs.provenance),
            )
        )
