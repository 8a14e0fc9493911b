"""Draw what the live UPF forwards at saturation. In: results/bench/saturation.csv. Out: PDF and PNG."""

import pandas as pd

from upfml.glue import rule
from upfml.report.figures import bench_saturation, style

with rule(snakemake):
    table = pd.read_csv(snakemake.input[0], keep_default_na=False)
    style.save(bench_saturation.draw(table), snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
