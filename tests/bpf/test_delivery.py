"""Delivery: by ring and by perf buffer, every decision or changes alone; what finds no room is counted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.bpf.test_classify import DEFINITION, new_flow
from tests.forests import converted, noisy_forest

from upfml.bpf import events
from upfml.bpf.delivery import Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.ring import Ring
from upfml.bpf.testrun import TestRun
from upfml.classify import kernel

ONE_PAGE = Delivery(pages=1)
ROOM = (4_096 - 1) // (8 + events.DECISION_EVENT.itemsize)
"""Events: a ring is never quite full."""
TIMES = np.cumsum(np.random.default_rng(3).integers(1_000_000, 60_000_000, 400)).tolist()
"""Of a flow's packets, ns."""


class Gathered:
    """A reader that keeps what it takes."""

    event = events.DECISION_EVENT

    def __init__(self) -> None:
        self.taken: list[np.ndarray] = []

    def take(self, events: np.ndarray) -> None:
        self.taken.append(events)

    def all(self) -> np.ndarray:
        return np.concatenate(self.taken)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=10, depth=10), tmp_path_factory.mktemp("model"), engine="inline")


class Classifier:
    """Classifies every packet; its decisions go where `delivery` says."""

    def __init__(self, model: Path, delivery: Delivery, emit: str = "every") -> None:
        self.delivery = delivery
        self.module, (program, *_) = kernel.load(
            model, DEFINITION, "packet", FlowTable(), delivery, emit=emit, replay=True
        )
        self._run = TestRun(program)

    def __call__(self, frame: bytes, times_ns: list[int]) -> None:
        for t_ns in times_ns:
            self._run(frame, t_ns)

    def ring(self) -> Ring:
        return Ring(self.module, "decisions", events.DECISION_EVENT)


def test_ring_and_perf_buffers_bring_the_same_decisions(model: Path) -> None:
    frame, columns = new_flow(), ["window", "packets", "predicted", "features", "t_packet_ns"]
    brought = []
    for delivery in (Delivery(), Delivery("perf", pages=64)):
        classifier, gathered = Classifier(model, delivery), Gathered()
        opened = delivery.open(classifier.module, {"decisions": gathered})
        for t_ns in TIMES:
            classifier(frame, [t_ns])
            opened.wait(0)
        opened.drain()
        assert opened.received == classifier.module.counters()["event_sent"] > 300
        brought.append(gathered.all()[columns].tolist())
    assert brought[0] == brought[1]


def test_events_that_may_wait_are_read_together(model: Path) -> None:
    delivery = Delivery(delay_ms=500)
    classifier, gathered = Classifier(model, delivery), Gathered()
    opened = delivery.open(classifier.module, {"decisions": gathered})
    sending = threading.Thread(target=classifier, args=(new_flow(), TIMES))
    sending.start()
    opened.wait(10)
    sending.join()
    assert len(gathered.taken) == 1
    assert len(gathered.taken[0]) > 200  # they are sent in a tenth of the delay
    opened.drain()
    assert opened.received == classifier.module.counters()["event_sent"]


def test_nobody_waits_longer_than_asked_for_an_event_that_does_not_come(model: Path) -> None:
    opened = Delivery().open(Classifier(model, Delivery()).module, {"decisions": Gathered()})
    before = time.monotonic()
    opened.wait(0.1)
    assert 0.1 <= time.monotonic() - before < 5
    assert opened.received == 0


def test_what_finds_no_room_in_a_ring_is_counted(model: Path) -> None:
    classifier = Classifier(model, ONE_PAGE)
    ring, frame = classifier.ring(), new_flow()
    classifier(frame, TIMES)
    counters = classifier.module.counters()
    assert counters["event_sent"] == len(ring.take()) == ROOM
    assert counters["event_lost"] > 300 - ROOM
    for t_ns in range(TIMES[-1], TIMES[-1] + 100):  # round and round
        classifier(frame, [t_ns])
        assert ring.take()["t_packet_ns"].tolist() == [t_ns]


def test_what_is_not_told_is_counted(model: Path) -> None:
    """Expanded by what an event says of those before it, changes are every decision."""
    every, changes = Classifier(model, Delivery()), Classifier(model, Delivery(), "change")
    frames = [new_flow() for _ in range(3)]
    for classifier in (every, changes):
        for number, frame in enumerate(frames):
            classifier(frame, TIMES[: 400 - 50 * number])
    told = changes.ring().take()
    counters = changes.module.counters()
    expanded = events.decisions_table(told, told["t_label_ns"], kernel.untold(changes.module))
    wanted = events.decisions_table(decided := every.ring().take(), decided["t_label_ns"])
    assert counters["decision_untold"] == len(wanted) - len(told) > 100
    for flow, rows in wanted.groupby("flow"):
        mine = expanded[expanded["flow"] == flow]
        assert np.repeat(mine["predicted"], 1 + mine["repeats"]).tolist() == rows["predicted"].tolist()
        assert (mine["predicted"].diff().iloc[1:] != 0).all()


def test_a_change_that_was_lost_is_told_again(model: Path) -> None:
    classifier = Classifier(model, ONE_PAGE, "change")
    ring, flows = classifier.ring(), [new_flow() for _ in range(ROOM + 5)]
    for frame in flows:
        classifier(frame, [0, 100_000_000, 600_000_000])  # the third closes a window, and is classified
    assert len(ring.take()) == ROOM
    assert classifier.module.counters()["event_lost"] == 5
    for frame in flows:
        classifier(frame, [600_000_000])
    again = ring.take()
    assert len(again) >= 5
    assert set(again[again["untold"] > 0]["untold"]) <= {1}
