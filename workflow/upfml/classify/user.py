"""The classifier in user space, as in the paper (section 3.2).

The collector in XDP sends an event for each packet. Python keeps flow state and windows. It calls emlearn's unmodified
model through ctypes, from a shared library.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from upfml.base import tables
from upfml.bpf import events
from upfml.classify import inputs
from upfml.packets.features import Definition, Flow, no_overflows

_KEY_BYTES = events.FLOW_KEY.itemsize
PATIENCE_NS = 1_000_000_000
"""How long a packet waits for its predecessor once events have been lost, since that event may be one of them. Before
any loss it waits without limit, because the event must be in a buffer that is not yet read."""


def predictor(library: Path) -> Callable[[Sequence[int]], int]:
    """A function from as many features as the model has to a class: model.so through ctypes."""
    model = ctypes.CDLL(str(library))
    predict, vector = model.predict, ctypes.c_int64 * ctypes.c_int.in_dll(model, "model_features").value

    def call(features: Sequence[int]) -> int:
        return int(predict(vector(*features)))

    return call


class UserClassifier:
    """From the collector's events to decisions, in one Python process."""

    event, schema = events.PACKET_EVENT, tables.DECISIONS

    def __init__(self, model: Path, definition: Definition, when: str, lost: Callable[[], int] = lambda: 0) -> None:
        """`model` is a folder written by convert.write, compiled by convert.shared_library; `when` window or packet.

        `lost` says how many events will never come. Raises UserError when the model has other features than windows.
        """
        inputs.check(model)
        self.counts = no_overflows() | {"event_overtook": 0}
        self._definition = definition
        self._every_packet = when == "packet"
        self._predict = predictor(model / "model.so")
        self._flows: dict[bytes, Flow] = {}
        self._parked: dict[bytes, list[tuple[int, int, int]]] = {}
        self._lost = lost
        self._decisions: list[tuple[bytes | int, ...]] = []

    def take(self, events: np.ndarray) -> None:
        """Account for packets, and classify where a packet calls for it."""
        keys = events["key"].tobytes()
        times = zip(events["t_ns"].tolist(), events["iat_ns"].tolist(), events["t_sent_ns"].tolist(), strict=True)
        for number, (t_ns, iat_ns, sent_ns) in enumerate(times):
            self._event(keys[number * _KEY_BYTES : (number + 1) * _KEY_BYTES], t_ns, iat_ns, sent_ns)

    def forget(self) -> None:
        """Forget all flows; packets that still wait for a predecessor wait no longer."""
        for key in list(self._parked):
            self._unpark(key, patient=False)
        self._flows.clear()

    def _event(self, key: bytes, t_ns: int, iat_ns: int, sent_ns: int) -> None:
        start_ns = time.monotonic_ns()
        flow = self._flows.get(key)
        if iat_ns < 0:  # its first packet, or its first since the kernel evicted it
            self._flows[key] = Flow(t_ns, self.counts)
        elif flow is None or t_ns - iat_ns > flow.last_ns:
            self._park(key, t_ns, iat_ns, sent_ns)
            return
        else:
            self._packet(key, flow, t_ns, iat_ns, sent_ns, start_ns)
        if self._parked and key in self._parked:  # mostly there are none at all
            self._unpark(key)

    def _packet(self, key: bytes, flow: Flow, t_ns: int, iat_ns: int, sent_ns: int, start_ns: int) -> None:
        closed = flow.packet(t_ns, iat_ns, self._definition)
        subject = flow.running() if self._every_packet else closed
        if subject is None:
            return
        features_ns = time.monotonic_ns()
        predicted = self._predict(subject.features)
        label_ns = time.monotonic_ns()
        times_ns = t_ns, sent_ns, start_ns, features_ns, label_ns
        self._decisions.append((key, subject.window, subject.packets, *subject.features, predicted, *times_ns))

    def _park(self, key: bytes, t_ns: int, iat_ns: int, sent_ns: int) -> None:
        """Keep a packet whose predecessor has not come."""
        self.counts["event_overtook"] += 1
        parked = self._parked.setdefault(key, [])
        parked.append((t_ns, iat_ns, sent_ns))
        if t_ns - parked[0][0] > PATIENCE_NS and self._lost():
            self._unpark(key, patient=False)

    def _unpark(self, key: bytes, *, patient: bool = True) -> None:
        """Account for the parked packets of a flow whose turn it is; for all of them when no longer `patient`."""
        parked = sorted(self._parked.pop(key))
        flow = self._flows.get(key)
        for number, (t_ns, iat_ns, sent_ns) in enumerate(parked):
            start_ns = time.monotonic_ns()
            if patient and (flow is None or t_ns - iat_ns > flow.last_ns):
                self._parked[key] = parked[number:]
                return
            if flow is None:
                flow = self._flows[key] = Flow(t_ns, self.counts)
            else:
                self._packet(key, flow, t_ns, iat_ns, sent_ns, start_ns)

    def table(self) -> pd.DataFrame:
        """After the last event: the decisions; true classes are not known here."""
        self.forget()
        columns = ["flow", "window", "packets", *tables.FEATURES, "predicted"]
        times = ["t_packet_ns", "t_sent_ns", "t_start_ns", "t_features_ns", "t_label_ns"]
        rows = pd.DataFrame(self._decisions, columns=columns + times)
        rows["flow"] = rows["flow"].map(events.flow_name)
        rows["model"], rows["repeats"], rows["label"] = 0, 0, -1
        rows["t_delivered_ns"] = rows["t_label_ns"]
        return tables.typed(rows, tables.DECISIONS)
