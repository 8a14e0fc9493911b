"""The in-kernel classifier, by BPF_PROG_TEST_RUN, against the reference (features) and the library (forest)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.forests import converted, forest_between, noisy_forest

from upfml.arms import Arm
from upfml.base.flowkey import UDP
from upfml.bpf import events
from upfml.bpf.delivery import Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import KernelRefused
from upfml.bpf.ring import Ring
from upfml.bpf.testrun import TestRun
from upfml.classify import kernel
from upfml.classify.uplink import Uplink
from upfml.classify.user import predictor
from upfml.packets import frames
from upfml.packets.features import WINDOW_IATS_MAX, Definition
from upfml.reference import windows as reference
from upfml.run.job import Job

DEFINITION = Definition(500_000_000, 1_000)


class Classifier:
    """The real classifier with its decisions."""

    def __init__(self, model: Path, when: str, also: Sequence[str] = (), emit: str = "every") -> None:
        self.module, self.programs = kernel.load(
            model, DEFINITION, when, FlowTable(), emit=emit, replay=True, also=also
        )
        self._run = TestRun(self.programs[0])
        self._decisions = Ring(self.module, "decisions", events.DECISION_EVENT)

    def __call__(self, frame: bytes, times_ns: list[int]) -> np.ndarray:
        """The decisions on packets of one flow."""
        for t_ns in times_ns:
            self._run(frame, t_ns)
        return self._decisions.take()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=10, depth=10), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def by_window(model: Path) -> Classifier:
    return Classifier(model, "window")


@pytest.fixture(scope="module")
def by_packet(model: Path) -> Classifier:
    return Classifier(model, "packet")


_ports = iter(range(1, 60_000))


def new_flow() -> bytes:
    """The frame of a flow that the classifier has not seen."""
    return frames.n3(frames.inner("10.60.0.1", next(_ports), "10.70.0.1", 5_001, UDP, 60))


def expected(times_ns: list[int], when: str) -> list[tuple[int, int, tuple[int, ...]]]:
    """What the reference says: (window, packets, features) of every classification."""
    return [subject[1:] for subject in reference.of_flow(times_ns, DEFINITION, when)]


def observed(decisions: np.ndarray) -> list[tuple[int, int, tuple[int, ...]]]:
    return decisions[["window", "packets", "features"]].tolist()


# From a clock that goes back to a silence of minutes, which a longer IAT than IAT_MAX needs.
gaps_ns = st.one_of(
    st.integers(-2_000_000, 20_000_000), st.integers(490_000_000, 510_000_000), st.integers(0, 3_000_000_000_000)
)


@pytest.mark.parametrize("when", ["window", "packet"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(gaps_ns, min_size=1, max_size=60), start=st.integers(10**9, 10**15))
def test_kernel_and_reference_agree_on_every_window(
    request: pytest.FixtureRequest, when: str, gaps: list[int], start: int
) -> None:
    classifier = request.getfixturevalue("by_window" if when == "window" else "by_packet")
    times = [start + int(total) for total in np.cumsum([0, *gaps])]
    assert observed(classifier(new_flow(), times)) == expected(times, when)


def test_a_window_with_more_packets_than_it_can_count(by_window: Classifier) -> None:
    times = [7_000 * packet for packet in range(71_430 * 3)]  # 7 us apart: 71,428 IATs a window, over the limit
    before = by_window.module.counters()
    assert observed(by_window(new_flow(), times)) == expected(times, "window")
    iats = Counter(t_ns // DEFINITION.window_ns for t_ns in times[1:])
    left_out = sum(max(count - WINDOW_IATS_MAX, 0) for count in iats.values())
    assert by_window.module.counters()["iat_left_out"] - before["iat_left_out"] == left_out


def test_what_a_packet_does_to_its_flow_is_counted(by_window: Classifier) -> None:
    before = by_window.module.counters()
    by_window(new_flow(), [10_000_000, 20_000_000, 15_000_000, 10_000_000_000])
    moved = {name: count - before[name] for name, count in by_window.module.counters().items() if count != before[name]}
    assert moved == {"flow": 4, "flow_new": 1, "clock_backwards": 1, "iat_clamped": 1}


def test_forest_in_kernel_is_the_forest_in_user_space(model: Path, by_packet: Classifier) -> None:
    predict = predictor(model / "model.so")
    random = np.random.default_rng(3)
    times = np.cumsum(np.abs(random.normal(12_000_000, 9_000_000, 4_000)).astype("int64")).tolist()
    decisions = by_packet(new_flow(), times)
    assert len(decisions) > 3_000
    predicted = [predict(features) for _, _, features in observed(decisions)]
    assert set(predicted) == {0, 1}
    assert decisions["predicted"].tolist() == predicted


def test_times_are_in_order(by_window: Classifier) -> None:
    decisions = by_window(new_flow(), [10_000_000 * packet for packet in range(500)])
    assert (decisions["t_label_ns"] > decisions["t_features_ns"]).all()


def test_every_packet_and_decision_is_counted(model: Path) -> None:
    classifier = Classifier(model, "window")
    decisions = classifier(new_flow(), [10_000_000 * packet for packet in range(1_000)])
    counters = classifier.module.counters()
    assert counters["flow"] == 1_000
    assert counters["event_sent"] == len(decisions) == 18  # windows 1 to 18 of 20: the first has none before it
    assert counters["event_lost"] == counters["inference_broken"] == 0


@pytest.mark.parametrize("division", [1, 2, 10, [5, 5], [1, 8, 1]])
def test_any_division_gives_the_same_classes(model: Path, tmp_path: Path, division: int | list[int]) -> None:
    converted(noisy_forest(trees=10, depth=6), tmp_path, division=division)
    predict = predictor(tmp_path / "model.so")
    classifier = Classifier(tmp_path, "packet")
    times = np.cumsum(np.random.default_rng(5).integers(0, 40_000_000, 600)).tolist()
    decisions = classifier(new_flow(), times)
    assert decisions["predicted"].tolist() == [predict(features) for _, _, features in observed(decisions)]


def test_a_forest_that_is_too_large_is_refused_with_the_reason(tmp_path: Path) -> None:
    converted(forest_between(0, 1_000, trees=34, depth=2), tmp_path, division=[1] * 34)  # more than 33 tail calls
    with pytest.raises(KernelRefused, match="34 programs") as refusal:
        kernel.load(tmp_path, DEFINITION, "window", FlowTable())
    job = Job(
        Arm("kernel"),
        "n3",
        "native",
        tmp_path,
        DEFINITION,
        FlowTable(),
        Delivery(),
        tmp_path,
        Uplink("n6", "10.70.0.1", []),
    )
    job.write(tmp_path / "job.json")
    agent = subprocess.run(
        [sys.executable, "-m", "upfml.run.agent", tmp_path / "job.json"], capture_output=True, text=True, timeout=300
    )
    assert agent.returncode == 1
    assert refusal.value.reason in agent.stderr
    assert "classify.engine" in agent.stderr
    assert not (tmp_path / "ready").exists()
