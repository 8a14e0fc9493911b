"""Load the UPF until something breaks. In: config, converted model. Out: table load, provenance."""

from pathlib import Path

from upfml.base import files, provenance, tables, xdpmode
from upfml.glue import rule
from upfml.studies.load import turns

with rule(snakemake):
    config, began = snakemake.params.config, provenance.now()
    rows = turns.measure(config, Path(snakemake.input.model))
    files.write(rows, snakemake.output.load, tables.LOAD)
    record = provenance.of(
        config,
        snakemake.params.code,
        xdp_modes=sorted(set(rows["xdp_mode"]) - {xdpmode.NONE}),
        start=began,
        end=provenance.now(),
    )
    files.write_json(record, snakemake.output.provenance)
