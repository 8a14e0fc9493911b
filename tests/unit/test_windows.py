"""Windows of a packets table, their labels and splits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from upfml.base import tables
from upfml.base.classes import EMBB, URLLC
from upfml.base.errors import UserError
from upfml.base.flowkey import UDP, flow_id
from upfml.packets import windows
from upfml.packets.features import Definition

DEFINITION = Definition(500_000_000, 1_000)


def packets(port: int, times_ns: list[int]) -> pd.DataFrame:
    frame = pd.DataFrame(dict.fromkeys(tables.PACKETS.columns, 0), index=range(len(times_ns)))
    frame[["src", "dst"]] = "10.60.0.1", "10.70.0.1"
    frame["src_port"], frame["dst_port"], frame["protocol"] = port, 5_001, UDP
    frame["t_ns"], frame["iat_ns"] = times_ns, np.diff(times_ns, prepend=times_ns[0] + 1)
    return tables.typed(frame, tables.PACKETS)


def labelled_windows(urllc_flows: int, embb_flows: int, each: int) -> pd.DataFrame:
    rows = [
        {"flow": f"{label}-{flow}", "window": k, "t_close_ns": 0, "packets": 1, "label": label}
        | dict.fromkeys(tables.FEATURES, 0)
        for label, flows in ((URLLC, urllc_flows), (EMBB, embb_flows))
        for flow in range(flows)
        for k in range(each)
    ]
    return pd.DataFrame(rows).astype({"label": "int8", "flow": "str"})


def test_flows_do_not_mix() -> None:
    step = 10_000_000
    a, b = packets(1, [k * step for k in range(200)]), packets(2, [5 + k * step for k in range(200)])
    both = pd.concat([a, b]).sort_values("t_ns")
    closed = windows.closed(both, DEFINITION)
    assert closed.groupby("flow").size().tolist() == [2, 2]
    assert set(closed["iat_mean"]) == {10_000}
    assert set(closed["iat_var"]) == {0}


def test_windows_of_flows_that_nobody_made_are_counted_out() -> None:
    closed = windows.closed(packets(1, [k * 10_000_000 for k in range(300)]), DEFINITION)
    flows = pd.DataFrame({"flow": [flow_id("10.60.0.1", 9, "10.70.0.1", 5_001, UDP)], "label": [0]})
    with pytest.raises(UserError, match="no URLLC window"):
        windows.labelled(closed, flows)


def test_no_embb_window_says_so() -> None:
    closed = windows.closed(packets(1, [k * 10_000_000 for k in range(300)]), DEFINITION)
    flows = pd.DataFrame({"flow": closed["flow"].unique(), "label": [URLLC]})
    with pytest.raises(UserError, match="no eMBB window"):
        windows.labelled(closed, flows)


def test_splits_are_stratified_and_the_grouped_one_keeps_flows_whole() -> None:
    rows = windows.split(labelled_windows(20, 10, 10), 0.2, None, seed=1)
    for split in ("split_random", "split_grouped"):
        share = (rows[split] == "test").groupby(rows["label"]).mean()
        assert share.between(0.15, 0.25).all(), split
    assert rows.groupby("flow")["split_grouped"].nunique().max() == 1
    assert rows.groupby("flow")["split_random"].nunique().max() == 2


def test_class_balance_can_be_set() -> None:
    rows = windows.split(labelled_windows(40, 10, 10), 0.2, 2.0, seed=1)
    used = rows[rows["split_random"] != "unused"]
    assert (used["label"] == URLLC).sum() == 200
    assert (used["label"] == EMBB).sum() == 100
    assert ((rows["split_random"] == "unused") == (rows["split_grouped"] == "unused")).all()


def test_the_same_seed_gives_the_same_split() -> None:
    first, second, other = (windows.split(labelled_windows(20, 10, 10), 0.2, 3.0, seed) for seed in (1, 1, 2))
    assert first.equals(second)
    assert not first.equals(other)


def test_too_few_flows_to_split() -> None:
    with pytest.raises(UserError, match="cannot be split"):
        windows.split(labelled_windows(2, 1, 1), 0.2, None, seed=1)
