"""Draw what the live UPF forwards at saturation. In: results/bench/live.csv. Out: PDF and PNG."""

import pandas as pd

from upfml.figures import bench_live, style
from upfml.glue import rule

with rule(snakemake):
    table = pd.read_csv(snakemake.input[0], keep_default_na=False)
    style.save(bench_live.draw(table), snakemake.output.pdf, snakemake.output.png)
