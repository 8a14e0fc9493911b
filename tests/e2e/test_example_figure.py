"""docs/extending/figure.md, done by the letter, with a made-up capture where a run would have left one."""

from pathlib import Path

import pandas as pd
from tests import examples

from upfml.base import files, tables
from upfml.base.classes import EMBB, URLLC
from upfml.base.flowkey import FIVE_TUPLE
from upfml.model.synthetic import trace
from upfml.traffic import manifest


def test_the_figure_is_added_as_the_page_says(tmp_path: Path) -> None:
    capture = tmp_path / "results/capture"
    packets = trace(flows=6)
    tuples = packets[FIVE_TUPLE].drop_duplicates()
    made = [
        manifest.of_application(application, label, protocol, rows[FIVE_TUPLE[:4]].itertuples(index=False, name=None))
        for (protocol, rows), application, label in zip(
            tuples.groupby("protocol"), ("video", "robot-arm"), (EMBB, URLLC), strict=True
        )
    ]
    files.write(packets, capture / "packets.parquet", tables.PACKETS)
    files.write(tables.typed(pd.concat(made), tables.FLOWS), capture / "flows.parquet", tables.FLOWS)
    files.write_json({"xdp_mode": "native"}, capture / "run.json")
    examples.follow("figure", tmp_path)
