"""Draw what an inference costs. In: results/bench/inference.csv. Out: PDF and PNG."""

import pandas as pd

from upfml.glue import rule
from upfml.report.figures import bench_inference, style

with rule(snakemake):
    figure = bench_inference.draw(pd.read_csv(snakemake.input[0]))
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
