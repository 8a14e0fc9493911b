"""Whether kernel, user space and scikit-learn agree with the reference, window by window and bit for bit.

All get identical packets: those of a live run that kept every packet (arm `exactness`), and those of the replayed
training trace. The reference is reference/windows.py and reference/forest.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml.base import tables
from upfml.bpf.flowtable import FlowTable
from upfml.classify.native import NativeClassifier
from upfml.classify.user import UserClassifier
from upfml.model.baselines import Baselines
from upfml.model.kinds import TreeModel
from upfml.model.voting import Voting
from upfml.packets import windows
from upfml.packets.features import Definition
from upfml.reference import windows as reference
from upfml.reference.forest import Forest
from upfml.replay import feed

CASE = ["flow", "t_packet_ns", "window", "packets"]
"""What names a classification: the flow, the packet that called for it, and the window."""


def expected(packets: pd.DataFrame, definition: Definition, when: str, forest: Forest) -> pd.DataFrame:
    """What the reference classifies in a packets table, and as what: CASE, FEATURES and predicted.

    A flow that the kernel began anew (iat_ns of -1) is begun anew here, too.
    """
    rows: list[tuple[Any, ...]] = []
    for name, of_flow in windows.by_flow(packets):
        times = of_flow["t_ns"].to_numpy()
        begins = np.flatnonzero(of_flow["iat_ns"].to_numpy() < 0)
        for times_ns in np.split(times, begins[begins > 0]):
            for subject in reference.of_flow(times_ns.tolist(), definition, when):
                case = (name, subject.t_packet_ns, subject.window, subject.packets)
                rows.append((*case, *subject.features, forest.predict(subject.features)))
    return pd.DataFrame(rows, columns=[*CASE, *tables.FEATURES, "predicted"])


def differences(wanted: pd.DataFrame, found: pd.DataFrame) -> dict[str, int]:
    """How many classifications there are, and how many differ in a feature or in the class.

    Both have CASE, FEATURES and predicted. One that only one side has differs in both.
    """
    both = wanted.merge(found, on=CASE, how="outer", suffixes=("", "_found"), indicator=True, validate="one_to_one")
    alone = both["_merge"] != "both"
    features = np.any([both[name] != both[f"{name}_found"] for name in tables.FEATURES], axis=0)
    return {
        "windows": len(both),
        "feature_differences": int((alone | features).sum()),
        "decision_differences": int((alone | (both["predicted"] != both["predicted_found"])).sum()),
    }


def by_sklearn(packets: pd.DataFrame, definition: Definition, forest: TreeModel) -> pd.DataFrame:
    """What scikit-learn says of the windows that the training would compute from these packets."""
    closed = windows.closed(packets, definition).rename(columns={"t_close_ns": "t_packet_ns"})
    return closed.assign(predicted=forest.predict(closed[tables.FEATURES].to_numpy()))


def accuracy_pct(decisions: pd.DataFrame, flows: pd.DataFrame) -> float:
    """Of the classifications of flows whose true class is known."""
    labels = decisions["flow"].map(flows.set_index("flow")["label"])
    return float(100 * (decisions["predicted"] == labels)[labels.notna()].mean())


@dataclass(frozen=True)
class Model:
    """What classifies: the same forest in each of its forms, and what it was trained on."""

    forest: TreeModel
    folder: Path  # convert.write's, compiled
    voting: Voting
    definition: Definition
    when: str


def judge(
    model: Model,
    baselines: Baselines,
    packets: pd.DataFrame,
    flows: pd.DataFrame,
    decisions: Mapping[str, pd.DataFrame],
) -> dict[str, dict[str, float]]:
    """For kernel, user, native (their `decisions` on these packets) and sklearn: `differences` and accuracy.

    Differences are to the reference. Accuracy is in % of the classifications of flows whose class is known; for
    sklearn, which classifies windows, it is that of the windows whatever `when` says. So is that of the `baselines`,
    majority and one_threshold, which have nothing but their accuracy.
    """
    yardstick = Forest(model.forest, model.voting)
    by_window = expected(packets, model.definition, "window", yardstick)
    wanted = by_window if model.when == "window" else expected(packets, model.definition, model.when, yardstick)
    of_windows = by_sklearn(packets, model.definition, model.forest)
    beside = {"majority": baselines.majority(of_windows), "one_threshold": baselines.one_threshold(of_windows)}
    return {
        arm: {
            **differences(by_window if arm == "sklearn" else wanted, rows),
            "accuracy_pct": accuracy_pct(rows, flows),
        }
        for arm, rows in {**decisions, "sklearn": of_windows}.items()
    } | {
        name: {"accuracy_pct": accuracy_pct(of_windows.assign(predicted=said), flows)} for name, said in beside.items()
    }


def replayed(model: Model, packets: pd.DataFrame, flow_table: FlowTable) -> dict[str, pd.DataFrame]:
    """What kernel and user space (Python, C) decide on a packets table, each fed by its own program in the kernel."""
    in_kernel, _, _ = feed.classify(packets, model.folder, model.definition, model.when, flow_table)
    user = UserClassifier(model.folder, model.definition, model.when)
    native = NativeClassifier(model.folder, model.definition, model.when)

    def take(events: np.ndarray) -> None:
        user.take(events)
        native.take(events)

    feed.collect(packets, flow_table, take)
    return {"kernel": in_kernel, "user": user.table(), "native": native.table()}
