"""Packets → windows: the training data, by the same code that the user-space classifier runs (features.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from upfml.base import tables
from upfml.base.classes import CLASS_NAMES, EMBB, URLLC
from upfml.base.errors import UserError
from upfml.base.flowkey import FIVE_TUPLE, flow_id
from upfml.packets.features import Definition, Flow, no_overflows


def by_flow(packets: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The packets of each flow, with its name (flowkey.flow_id), in the order in which flows began."""
    for five_tuple, of_flow in packets.groupby(FIVE_TUPLE, sort=False, observed=True):
        yield flow_id(*cast("tuple[str, int, str, int, int]", five_tuple)), of_flow


def closed(packets: pd.DataFrame, definition: Definition, overflows: dict[str, int] | None = None) -> pd.DataFrame:
    """Every window of a packets table that can be classified: flow, window, t_close_ns, packets and features.

    Packets of a flow must be in order of time. Rows are in the order in which windows closed. `overflows`, where it is
    wanted, is counted on (features.no_overflows).
    """
    overflows = no_overflows() if overflows is None else overflows
    rows: list[tuple[Any, ...]] = []
    for name, of_flow in by_flow(packets):
        times = of_flow["t_ns"].tolist()
        flow = Flow(times[0], overflows)
        for t_ns, iat_ns in zip(times[1:], of_flow["iat_ns"].tolist()[1:], strict=True):
            if iat_ns < 0:  # the kernel had evicted the flow, and begins it anew
                flow = Flow(t_ns, overflows)
                continue
            window = flow.packet(t_ns, iat_ns, definition)
            if window is not None:
                rows.append((name, window.window, t_ns, window.packets, *window.features))
    frame = pd.DataFrame(rows, columns=["flow", "window", "t_close_ns", "packets", *tables.FEATURES])
    return frame.sort_values("t_close_ns", kind="stable", ignore_index=True)


def labelled(windows: pd.DataFrame, flows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Windows with their flow's true class, and how many were left out because no generator made their flow.

    Raises UserError when a class has no window.
    """
    labels = windows["flow"].map(flows.set_index("flow")["label"])
    known = windows.assign(label=labels)[labels.notna()].astype({"label": "int8"}).reset_index(drop=True)
    for label, name in CLASS_NAMES.items():
        if not (known["label"] == label).any():
            raise UserError(
                f"the traffic produced no {name} window",
                "capture for longer (capture.duration_s); a window needs two earlier windows' packets of its flow. "
                "Then look into the generators' logs under results/capture/",
            )
    return known, int(len(windows) - len(known))


def split(windows: pd.DataFrame, test_share: float, urllc_per_embb: float | None, seed: int) -> pd.DataFrame:
    """Add the columns split_random (the paper's 80/20) and split_grouped (no flow on both sides), both stratified.

    With `urllc_per_embb`, URLLC windows beyond that many for each eMBB window are drawn out and marked unused.
    Raises UserError when a class has too few windows or flows to be on both sides.
    """
    labels = windows["label"].to_numpy()
    used = np.flatnonzero(_balanced(labels, urllc_per_embb, seed))
    random, grouped = (np.full(len(windows), "unused", dtype=object) for _ in range(2))
    try:
        train, test = train_test_split(used, test_size=test_share, stratify=labels[used], random_state=seed)
        random[train], random[test] = "train", "test"
        folds = StratifiedGroupKFold(n_splits=round(1 / test_share), shuffle=True, random_state=seed)
        groups = windows["flow"].to_numpy()[used]
        train, test = next(iter(folds.split(used, labels[used], groups)))
        grouped[used[train]], grouped[used[test]] = "train", "test"
    except ValueError as error:
        counts = {name: int((labels == label).sum()) for label, name in CLASS_NAMES.items()}
        raise UserError(
            f"the windows {counts} cannot be split: {error}", "capture for longer (capture.duration_s)"
        ) from error
    return windows.assign(split_random=pd.Series(random, dtype="str"), split_grouped=pd.Series(grouped, dtype="str"))


def summary(windows: pd.DataFrame, unlabelled: int, overflows: dict[str, int]) -> dict[str, Any]:
    """Class balance overall and on each side of each split, and what `closed` counted."""

    def count(rows: pd.DataFrame) -> dict[str, int]:
        return {name: int((rows["label"] == label).sum()) for label, name in CLASS_NAMES.items()}

    return {
        "windows": count(windows),
        "windows_of_unknown_flows": unlabelled,
        "overflows": overflows,
        "flows": {
            name: int(windows.loc[windows["label"] == label, "flow"].nunique()) for label, name in CLASS_NAMES.items()
        },
        **{
            column: {side: count(windows[windows[column] == side]) for side in ("train", "test", "unused")}
            for column in ("split_random", "split_grouped")
        },
    }


def _balanced(labels: np.ndarray, urllc_per_embb: float | None, seed: int) -> np.ndarray:
    keep = np.ones(len(labels), dtype=bool)
    if urllc_per_embb is not None:
        urllc = np.flatnonzero(labels == URLLC)
        wanted = round(urllc_per_embb * int((labels == EMBB).sum()))
        surplus = np.random.default_rng(seed).permutation(urllc)[wanted:]
        keep[surplus] = False
    return keep
