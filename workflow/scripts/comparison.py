"""Compare the arms. In: metrics. Out: differences between arms with intervals and effect sizes, as JSON and a page."""

from dataclasses import asdict
from pathlib import Path

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.glue import rule
from upfml.report.comparison import page
from upfml.report.comparison.rows import compare

with rule(snakemake):
    arms = Arms.of(snakemake.params.arms)
    metrics = files.read(snakemake.input[0], tables.METRICS)
    rows = compare(arms, metrics)
    files.write_json([asdict(row) for row in rows], snakemake.output.json)
    with files.whole_file(Path(snakemake.output.page)) as partial:
        partial.write_text(page.markdown(arms, rows, metrics))
