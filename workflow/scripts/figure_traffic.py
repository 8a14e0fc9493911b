"""Draw the traffic. In: packets, flows, rungs, losses and run of the capture. Out: PDF and PNG."""

from upfml.base import files, tables
from upfml.glue import rule
from upfml.report.figures import style, traffic

with rule(snakemake):
    figure = traffic.draw(
        files.read(snakemake.input.packets, tables.PACKETS),
        files.read(snakemake.input.flows, tables.FLOWS),
        files.read(snakemake.input.rungs, tables.RUNGS),
        100 * files.read_json(snakemake.input.loss)["rate"],
        files.read_json(snakemake.input.run)["xdp_mode"],
        **snakemake.params.capture,
        n3_rate_mbit_s=snakemake.params.n3_rate_mbit_s,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png, note=snakemake.params.note)
