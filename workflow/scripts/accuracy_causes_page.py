"""What each cause costs, to read. In: the study, scores, exactness, its live run, as JSON. Out: Markdown."""

from pathlib import Path

from upfml.base import files
from upfml.glue import rule
from upfml.studies.causes import page

with rule(snakemake):
    inputs = snakemake.input
    exactness = files.read_json(inputs.exactness)
    live: page.Live | None = None
    if inputs.live:
        live = {
            "heldout_accuracy": files.read_json(inputs.scores)["random"]["accuracy"],
            "live_accuracy": exactness["live"]["sklearn"]["accuracy_pct"] / 100,
            "xdp_mode": files.read_json(inputs.live)["xdp_mode"],
        }
    with files.whole_file(Path(snakemake.output[0])) as partial:
        partial.write_text(page.markdown(files.read_json(inputs.study), live))
