"""Train one point. In: windows. Out: the forest of the paper's random split, and the scores of both splits."""

import joblib

from upfml import tables, train
from upfml.glue import rule

with rule(snakemake):
    windows = tables.read(snakemake.input[0], tables.WINDOWS)
    parameters = {
        **snakemake.params.point,
        "kind": snakemake.params.kind,
        "min_samples_leaf": snakemake.params.min_samples_leaf,
        "seed": snakemake.params.seed,
    }
    forests = {name: train.fit(windows, f"split_{name}", **parameters) for name in ("random", "grouped")}
    scores = {name: train.score(forest, windows, f"split_{name}") for name, forest in forests.items()}
    with tables.whole_file(snakemake.output.forest) as partial:
        joblib.dump(forests["random"], partial)
    tables.write_json(scores, snakemake.output.scores)
