"""Compare with the paper. In: metrics, scores, exactness. Out: the comparison as JSON and as Markdown."""

from pathlib import Path

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.glue import rule
from upfml.report.paper import page, rows

with rule(snakemake):
    arms = Arms.of(snakemake.params.arms)
    metrics = files.read(snakemake.input.metrics, tables.METRICS)
    compared = rows.compare(
        arms,
        metrics,
        files.read_json(snakemake.input.scores),
        files.read_json(snakemake.input.exactness),
    )
    files.write_json([comparison.as_row() for comparison in compared], snakemake.output.json)
    with files.whole_file(Path(snakemake.output.page)) as partial:
        partial.write_text(page.markdown(arms, compared, metrics))
