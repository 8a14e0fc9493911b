"""Draw what each step of a packet's way costs. In: results/bench/path.csv. Out: PDF and PNG."""

import pandas as pd

from upfml.glue import rule
from upfml.report.figures import bench_path, style

with rule(snakemake):
    style.save(
        bench_path.draw(pd.read_csv(snakemake.input[0])),
        snakemake.output.pdf,
        snakemake.output.png,
        note=snakemake.params.note,
    )
