"""Train one point. In: windows, baselines. Out: the forest of the paper's random split, scores of both splits."""

import joblib

from upfml.base import files, tables
from upfml.glue import rule
from upfml.model import baselines, train

with rule(snakemake):
    windows = files.read(snakemake.input.windows, tables.WINDOWS)
    parameters = {
        **snakemake.params.point,
        "kind": snakemake.params.kind,
        "min_samples_leaf": snakemake.params.min_samples_leaf,
        "seed": snakemake.params.seed,
    }
    forests = {name: train.fit(windows, f"split_{name}", **parameters) for name in ("random", "grouped")}
    beside = baselines.read(snakemake.input.baselines)
    scores = {name: train.score(forest, beside[name], windows, f"split_{name}") for name, forest in forests.items()}
    with files.whole_file(snakemake.output.forest) as partial:
        joblib.dump(forests["random"], partial)
    files.write_json(scores, snakemake.output.scores)
