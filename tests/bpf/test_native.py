"""The classifier in C on a real ring of the real collector, beside the one in Python on a ring of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.forests import converted, noisy_forest

from upfml.base import tables
from upfml.base.flowkey import UDP
from upfml.bpf.delivery import Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.testrun import TestRun
from upfml.classify.collector import collector
from upfml.classify.native import NativeClassifier, NativeRing
from upfml.classify.user import UserClassifier
from upfml.packets import frames
from upfml.packets.features import Definition

DEFINITION = Definition(500_000_000, 1_000)
FLOWS = 7
PACKETS = 4_000
DECIDED = ["flow", "window", "packets", *tables.FEATURES, "predicted", "t_packet_ns", "t_sent_ns"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=10, depth=8), tmp_path_factory.mktemp("model"))


class Collector:
    """The collector, and packets for it."""

    def __init__(self, delivery: Delivery) -> None:
        self.module = collector(FlowTable(), delivery, replay=True)
        self._run = TestRun(self.module.load("collect"))

    def send(self, between: Callable[[], object] = lambda: None, every: int = PACKETS) -> None:
        """Packets of all flows, the same every time; `between` is done after every so many, and at the end."""
        random = np.random.default_rng(4)
        flows, times = random.integers(0, FLOWS, PACKETS), np.cumsum(random.integers(0, 20_000_000, PACKETS))
        made = [
            frames.n3(frames.inner("10.60.0.1", 1_000 + flow, "10.70.0.1", 5_001, UDP, 60)) for flow in range(FLOWS)
        ]
        for number, (flow, t_ns) in enumerate(zip(flows.tolist(), times.tolist(), strict=True), 1):
            self._run(made[flow], t_ns)
            if number % every == 0 or number == PACKETS:
                between()

    def lost(self) -> int:
        return self.module.counters()["event_lost"]


def wanted(model: Path, when: str, delivery: Delivery, every: int) -> pd.DataFrame:
    """What the classifier in Python decides, when it reads after so many packets."""
    collected = Collector(delivery)
    classifier = UserClassifier(model, DEFINITION, when, collected.lost)
    collected.send(delivery.open(collected.module, {"packets": classifier}).drain, every)
    return classifier.table().sort_values("flow", kind="stable", ignore_index=True)


@pytest.mark.parametrize("when", ["window", "packet"])
@pytest.mark.parametrize("delay_s", [0, 0.001])
def test_decides_as_python_while_packets_come(model: Path, when: str, delay_s: float) -> None:
    collected = Collector(Delivery(pages=16))  # round and round: there is room for 500 events
    classifier = NativeClassifier(model, DEFINITION, when)
    ring = NativeRing(collected.module, "packets", classifier, delay_s)
    sending = threading.Thread(target=collected.send, args=(lambda: time.sleep(0.01), 100))
    sending.start()
    while sending.is_alive():
        ring.wait(0.05)
    ring.drain()
    assert collected.lost() == 0
    assert ring.received == collected.module.counters()["event_sent"] == PACKETS
    decisions = classifier.table().sort_values("flow", kind="stable", ignore_index=True)
    assert len(decisions) > 100
    pd.testing.assert_frame_equal(decisions[DECIDED], wanted(model, when, Delivery(), PACKETS)[DECIDED])


@pytest.mark.parametrize("when", ["window", "packet"])
def test_decides_as_python_when_events_are_lost(model: Path, when: str) -> None:
    delivery, every = Delivery(pages=1), 60  # there is room for 42
    collected = Collector(delivery)
    classifier = NativeClassifier(model, DEFINITION, when, collected.lost)
    ring = NativeRing(collected.module, "packets", classifier, 0)
    collected.send(ring.drain, every)
    assert collected.lost() == PACKETS - ring.received > PACKETS // 10
    assert classifier.counts["event_overtook"] > 0
    decisions = classifier.table().sort_values("flow", kind="stable", ignore_index=True)
    assert len(decisions) > 100
    pd.testing.assert_frame_equal(decisions[DECIDED], wanted(model, when, delivery, every)[DECIDED])


def test_waits_as_long_as_it_is_told_and_drains_without_waiting(model: Path) -> None:
    collected = Collector(Delivery())
    ring = NativeRing(collected.module, "packets", NativeClassifier(model, DEFINITION, "window"), 0)
    before = time.monotonic()
    ring.wait(0.1)
    assert 0.1 <= time.monotonic() - before < 5
    assert ring.received == 0
    collected.send()
    ring.drain()
    assert ring.received == PACKETS
