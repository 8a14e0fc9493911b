"""The user-space classifier on events as perf buffers deliver them: each CPU's in order, the CPUs' in any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forests import converted, noisy_forest

from upfml.base import tables
from upfml.bpf import events
from upfml.classify.user import UserClassifier
from upfml.packets.features import Definition
from upfml.reference import windows as reference

DEFINITION = Definition(500_000_000, 1_000)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=5, depth=5), tmp_path_factory.mktemp("model"))


def packet_events(times_ns: list[int]) -> np.ndarray:
    """The collector's events on one flow."""
    found = np.zeros(len(times_ns), events.PACKET_EVENT)
    found["key"]["protocol"] = 17
    found["t_ns"] = times_ns
    found["iat_ns"] = np.diff(times_ns, prepend=times_ns[0] + 1)
    return found


def classify(model: Path, packets: np.ndarray, lost: int = 0) -> tuple[list[tuple[int, ...]], dict[str, int]]:
    """(t_packet_ns, window, packets, features) of each decision, and what the classifier counted."""
    classifier = UserClassifier(model, DEFINITION, "window", lambda: lost)
    classifier.take(packets)
    rows = classifier.table()[["t_packet_ns", "window", "packets", *tables.FEATURES]]
    return list(rows.itertuples(index=False, name=None)), classifier.counts


def expected(times_ns: list[int]) -> list[tuple[int, ...]]:
    return [(*subject[:3], *subject.features) for subject in reference.of_flow(times_ns, DEFINITION, "window")]


def times(packets: int) -> list[int]:
    return np.cumsum(np.random.default_rng(1).integers(1_000_000, 60_000_000, packets)).tolist()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 1), min_size=300, max_size=300), st.integers(1, 300))
def test_the_order_of_two_cpus_buffers_does_not_matter(model: Path, cpus: list[int], read_at_once: int) -> None:
    seen = times(300)
    packets = packet_events(seen)
    # The reader takes what has come since its last turn, first all of one CPU's, then all of the other's.
    turns = np.arange(len(packets)) // read_at_once
    found, counts = classify(model, packets[np.lexsort((np.arange(len(packets)), cpus, turns))])
    assert found == expected(seen)
    assert (counts["event_overtook"] > 0) == bool(np.any(np.diff(np.lexsort((np.arange(300), cpus, turns))) < 0))


def test_a_lost_event_holds_its_flow_up_for_a_second_only(model: Path) -> None:
    seen = times(300)
    packets = np.delete(packet_events(seen), 100)
    found, counts = classify(model, packets, lost=1)
    whole = expected(seen)
    assert 0 < counts["event_overtook"] < 100
    assert len(found) == len(whole)
    # one window lacks a packet and is the previous one of another
    assert sum(mine != wanted for mine, wanted in zip(found, whole, strict=True)) <= 2


def test_a_flow_whose_first_event_was_lost_is_followed_all_the_same(model: Path) -> None:
    seen = times(300)
    found, _ = classify(model, packet_events(seen)[1:], lost=1)
    assert len(found) >= len(expected(seen)) - 1


def test_an_evicted_flow_begins_anew(model: Path) -> None:
    seen = times(300)
    packets = packet_events(seen)
    packets["iat_ns"][150] = -1
    assert classify(model, packets)[0] == expected(seen[:150]) + expected(seen[150:])
