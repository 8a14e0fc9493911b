"""The training trace from captures. In: config, captures. Out: packets, flows (true classes), loss, summaries."""

import logging
from pathlib import Path

from upfml.glue import rule
from upfml.replay import captures

with rule(snakemake):
    captures.training_trace(snakemake.params.config, Path(snakemake.output.packets).parent, logging.info)
