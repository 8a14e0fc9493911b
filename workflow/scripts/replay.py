"""The training trace from captures. In: config, captures. Out: packets, flows (true classes), loss, summaries."""

import logging
from pathlib import Path

from upfml.glue import rule
from upfml.replay import captures

with rule(snakemake):
    out = Path(snakemake.output.packets).parent
    captures.training_trace(snakemake.params.config, snakemake.params.code, out, logging.info)
