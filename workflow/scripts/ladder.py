"""Encode the video. In: config traffic.video. Out: a folder with manifest, segments and ladder.json."""

from pathlib import Path

from upfml.glue import rule
from upfml.traffic import ladder

with rule(snakemake):
    video = snakemake.params.config["traffic"]["video"]
    ladder.encode(Path(snakemake.output[0]), video["ladder_mbit_s"], video["segment_s"], video["length_s"])
