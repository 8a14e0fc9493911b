"""Windows and splits. In: packets and flows. Out: the windows table and a summary of class balance."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.packets import windows
from upfml.packets.features import Definition, no_overflows

with rule(snakemake):
    config = snakemake.params.config
    packets = files.read(snakemake.input.packets, tables.PACKETS)
    flows = files.read(snakemake.input.flows, tables.FLOWS)
    overflows = no_overflows()
    closed = windows.closed(packets, Definition.of(config["features"]), overflows)
    known, unknown = windows.labelled(closed, flows)
    known = windows.split(known, snakemake.params.test_share, snakemake.params.urllc_per_embb, config["seed"])
    files.write(known, snakemake.output.windows, tables.WINDOWS)
    files.write_json(windows.summary(known, unknown, overflows), snakemake.output.summary)
