"""The training trace from captures. In: config, captures. Out: packets, flows (true classes), loss, summaries."""

import logging
from pathlib import Path

from upfml import replay
from upfml.glue import rule

with rule(snakemake):
    replay.training_trace(snakemake.params.config, Path(snakemake.output.packets).parent, logging.info)
