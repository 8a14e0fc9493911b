"""Draw the traffic. In: packets, flows, rungs, losses and run of the capture. Out: PDF and PNG."""

from upfml.base import tables
from upfml.glue import rule
from upfml.report.figures import style, traffic

with rule(snakemake):
    figure = traffic.draw(
        tables.read(snakemake.input.packets, tables.PACKETS),
        tables.read(snakemake.input.flows, tables.FLOWS),
        tables.read(snakemake.input.rungs, tables.RUNGS),
        100 * tables.read_json(snakemake.input.loss)["rate"],
        tables.read_json(snakemake.input.run)["xdp_mode"],
        **snakemake.params.capture,
        n3_rate_mbit_s=snakemake.params.n3_rate_mbit_s,
    )
    style.save(figure, snakemake.output.pdf, snakemake.output.png)
