"""Convert one forest. In: the forest. Out: a folder with C for user space (compiled, too) and for the kernel."""

from pathlib import Path

import joblib

from upfml.glue import rule
from upfml.model import convert
from upfml.packets.features import Definition

with rule(snakemake):
    folder, config = Path(snakemake.output[0]), snakemake.params.config
    forest = joblib.load(snakemake.input[0])
    convert.write(
        forest,
        snakemake.params.division,
        config["classify"]["engine"],
        folder,
        thresholds=config["convert"]["thresholds"],
        voting=config["convert"]["voting"],
        definition=Definition.of(config["features"]),
    )
    convert.shared_library(folder, forest.n_features_in_)
