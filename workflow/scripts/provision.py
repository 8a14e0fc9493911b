"""Let the experiment begin on machines that are fit. In: the findings of check_machines, removed if one has failed."""

from pathlib import Path

from upfml import provision
from upfml.base.errors import UserError
from upfml.glue import rule

with rule(snakemake):
    try:
        provision.Findings.read(snakemake.input[0]).raise_if_failed()
    except UserError:
        Path(snakemake.input[0]).unlink()  # the next run is to look again
        raise
