"""The classifier in user space, as in the paper (section 3.2).

The collector in XDP; flow state and windows in Python; emlearn's model, unmodified, compiled into a shared library and
called through ctypes.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from upfml import events, tables
from upfml.capture import Collect
from upfml.features import Flow
from upfml.job import Job

_HEAD = struct.Struct(f"<{events.FLOW_KEY.itemsize}sQq")
"""The first members of struct packet_event: flow key, t_ns, iat_ns."""


def predictor(library: Path) -> Callable[[Sequence[int]], int]:
    """A function from four features to a class: model.so through ctypes."""
    predict = ctypes.CDLL(str(library)).predict
    vector = ctypes.c_int64 * len(tables.FEATURES)

    def call(features: Sequence[int]) -> int:
        return int(predict(vector(*features)))

    return call


class UserClassifier(Collect):
    """The arm `user`."""

    def __init__(self, job: Job) -> None:
        assert job.model is not None
        super().__init__(job)
        self._definition = job.definition
        self._every_packet = job.when == "packet"
        self._predict = predictor(job.model / "model.so")
        self._flows: dict[bytes, Flow] = {}
        self._decisions: list[tuple[bytes | int, ...]] = []

    def event(self, cpu: int, data: int, size: int) -> None:
        """Account for a packet; classify when it calls for that."""
        start_ns = time.monotonic_ns()
        self.received += 1
        key, t_ns, iat_ns = _HEAD.unpack(ctypes.string_at(data, _HEAD.size))
        flow = self._flows.get(key)
        if flow is None or iat_ns < 0:  # the kernel begins the flow anew when its table had no room
            self._flows[key] = Flow(t_ns)
            return
        closed = flow.packet(t_ns, iat_ns, self._definition)
        subject = flow.running() if self._every_packet else closed
        if subject is None:
            return
        features_ns = time.monotonic_ns()
        predicted = self._predict(subject.features)
        label_ns = time.monotonic_ns()
        self._decisions.append(
            (key, subject.window, subject.packets, *subject.features, predicted, t_ns, start_ns, features_ns, label_ns)
        )

    def table(self) -> tuple[str, pd.DataFrame] | None:
        """The decisions; true classes are not known here."""
        columns = ["flow", "window", "packets", *tables.FEATURES, "predicted"]
        times = ["t_packet_ns", "t_start_ns", "t_features_ns", "t_label_ns"]
        rows = pd.DataFrame(self._decisions, columns=columns + times)
        rows["flow"] = rows["flow"].map(events.flow_name)
        rows["label"] = -1
        rows["t_delivered_ns"] = rows["t_label_ns"]
        return "decisions", tables.typed(rows, tables.DECISIONS)
