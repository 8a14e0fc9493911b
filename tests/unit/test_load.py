"""load: what the generator sends and what a classifier has to make of it; where an arm has broken."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upfml.base import tables
from upfml.base.errors import UserError
from upfml.packets.features import Definition, Flow, no_overflows
from upfml.studies.load import breaks
from upfml.studies.load.loads import offered_loads
from upfml.traffic.injector.schedule import Schedule

MS = 1_000_000
WINDOW_NS = 100 * MS


def sends(schedule: Schedule) -> list[tuple[int, int]]:
    """(ns since the start, flow) of every packet: bpf/injector.bpf.c in Python."""
    return [
        ((turn * schedule.flows + flow) * schedule.interval_ns, flow)
        for turn in range(schedule.rounds)
        for flow in range(schedule.flows)
        if 0 <= turn - flow * schedule.stagger // schedule.flows < schedule.packets
    ]


def decisions(times_ns: list[int]) -> int:
    """Of a flow, by the definition of windows."""
    flow, definition, made = Flow(times_ns[0], no_overflows()), Definition(WINDOW_NS, 1_000), 0
    for before, now in pairwise(times_ns):
        made += flow.packet(now, now - before, definition) is not None
    return made


SCHEDULES = [(2_000, 26), (2_000, 260), (2_000, 100), (5_000, 1), (3_000, 7), (1_000, 57), (1_000, 250)]


@pytest.mark.parametrize(("rate", "flows"), SCHEDULES)
def test_a_schedule_sends_at_its_rate_each_flow_at_its_period(rate: int, flows: int) -> None:
    schedule = Schedule.of(rate, flows, WINDOW_NS, 500 * MS)
    sent = sends(schedule)
    assert len(sent) == schedule.sent
    steady = [at for at, _ in sent if schedule.steady_ns[0] <= at < schedule.steady_ns[1]]
    assert set(np.diff(steady)) == {schedule.interval_ns}
    assert schedule.interval_ns == pytest.approx(1e9 / rate, abs=0.5)
    for flow in range(flows):
        times = [at for at, whose in sent if whose == flow]
        assert len(times) == schedule.packets
        assert set(np.diff(times)) == {schedule.period_ns}
    assert sent[-1][0] < schedule.length_ns


@pytest.mark.parametrize(("rate", "flows"), SCHEDULES)
def test_decisions_follow_from_the_schedule_whatever_the_jitter(rate: int, flows: int) -> None:
    schedule, random = Schedule.of(rate, flows, WINDOW_NS, 500 * MS), np.random.default_rng(1)
    assert schedule.decisions > 0
    made = 0
    for flow in range(flows):
        exact = [at for at, whose in sends(schedule) if whose == flow]
        jitter = random.integers(0, min(5 * MS, schedule.period_ns // 2), len(exact))
        made += decisions((np.array(exact) + jitter).tolist())
    assert made == schedule.decisions


@given(rate=st.integers(100, 1_000_000), flows=st.integers(1, 100_000))
@settings(deadline=None, max_examples=200)
def test_every_schedule_has_a_steady_part(rate: int, flows: int) -> None:
    try:
        schedule = Schedule.of(rate, flows, WINDOW_NS, 500 * MS)
    except UserError:
        assert flows / rate == pytest.approx(0.1, rel=0.11)
        return
    begin, end = schedule.steady_ns
    assert 0 < begin < end < schedule.length_ns
    assert schedule.stagger * schedule.period_ns <= begin


def test_a_period_that_is_a_window_is_refused() -> None:
    with pytest.raises(UserError, match=r"so close to load\.window_ms"):
        Schedule.of(1_000, 100, WINDOW_NS, 500 * MS)


def test_the_rate_of_a_period_is_flows_over_it() -> None:
    load = {
        "rate": {"packets_per_s": [10_000], "flows": 26},
        "flows": {"flows": [260], "packets_per_s": 20_000},
        "period": {"period_ms": [20, 5], "flows": 260},
        "window_ms": 100,
        "turn_s": 0.5,
    }
    made = offered_loads(load)
    assert [(offered.sweep, offered.value, offered.flows) for offered in made] == [
        ("rate", 10_000, 26), ("flows", 260, 260), ("period", 20, 260), ("period", 5, 260),
    ]  # fmt: skip
    assert [offered.packets_per_s for offered in made] == [10_000, 20_000, 13_000, 52_000]
    assert [offered.schedule(load).period_ns for offered in made[2:]] == pytest.approx([20 * MS, 5 * MS], rel=1e-4)


def turn(sweep: str, value: float, arm: str, number: int, **changed: Any) -> dict[str, Any]:
    rate = {"rate": value, "flows": 20_000, "period": 260e3 / value}[sweep]
    decides = arm not in ("none", "collect")
    return {
        "sweep": sweep,
        "value": value,
        "arm": arm,
        "turn": number,
        "flows": int(value) if sweep == "flows" else 260,
        "wanted_packets_per_s": rate,
        "packets_wanted": 100_000,
        "packets_offered": 100_000,
        "packets_forwarded": 100_000,
        "xdp_mode": "" if arm == "none" else "native",
        "events_made": 0 if arm == "none" else 1_000,
        "events_lost": 0,
        "decisions_expected": 1_000.0 if decides else np.nan,
        "decisions_made": 1_000 if decides else 0,
        "upf_busy_pct": 60.0,
        "thread_cpu_ns_per_packet": 1_500.0,
        "agent_cpu_ns_per_packet": 0.0 if arm == "none" else 500.0,
        "upf_cpu_pct": 50.0,
        "program_ns": np.nan if arm == "none" else 150.0,
        "latency_p50_ns": 20_000.0 if decides else np.nan,
        "latency_p99_ns": 90_000.0 if decides else np.nan,
    } | changed


def table(
    values: dict[str, list[float]], arms: list[str], changed: dict[tuple[str, float, str], dict[str, Any]]
) -> Any:
    """Three turns of each arm at each value; `changed` in all of them, or where its `turns` says so."""
    rows = []
    for sweep, steps in values.items():
        for value in steps:
            for arm in arms:
                other = dict(changed.get((sweep, value, arm), {}))
                in_turns = other.pop("turns", range(3))
                rows += [turn(sweep, value, arm, at, **(other if at in in_turns else {})) for at in range(3)]
    return tables.typed(pd.DataFrame(rows), tables.LOAD)


RATES = {"rate": [10.0, 20.0, 40.0, 80.0]}


def of_arm(load: pd.DataFrame, arm: str, sweep: str = "rate") -> dict[str, Any]:
    return dict(breaks.find(load)["sweeps"][sweep]["arms"][arm])


@pytest.mark.parametrize(
    ("changed", "by"),
    [
        ({"events_lost": 2}, "events"),
        ({"decisions_made": 998}, "decisions"),
        ({"packets_forwarded": 99_899}, "packets"),
        ({"events_lost": 2, "decisions_made": 900}, "decisions"),
    ],
)
def test_an_arm_breaks_at_the_first_value_that_loses_too_much(changed: dict[str, Any], by: str) -> None:
    load = table(RATES, ["none", "user"], {("rate", 40.0, "user"): changed})
    found = of_arm(load, "user")
    assert (found["held"], found["broke"], found["by"]) == (20.0, 40.0, by)
    assert of_arm(load, "none") == {"held": 80.0, "broke": None, "by": None, "lost_pct": {}}
    assert breaks.find(load)["sweeps"]["rate"]["first"] == "user"


@pytest.mark.parametrize("changed", [{"events_lost": 1}, {"decisions_made": 999}, {"packets_forwarded": 99_900}])
def test_the_limit_itself_holds(changed: dict[str, Any]) -> None:
    assert of_arm(table(RATES, ["none", "user"], {("rate", 40.0, "user"): changed}), "user")["broke"] is None


def test_one_bad_turn_of_three_breaks_nothing() -> None:
    bad = {"events_lost": 500, "turns": [1]}
    assert of_arm(table(RATES, ["none", "user"], {("rate", 40.0, "user"): bad}), "user")["broke"] is None


def test_what_forwarding_alone_loses_is_not_the_arms() -> None:
    lost = {
        ("rate", 80.0, "none"): {"packets_forwarded": 70_000},
        ("rate", 80.0, "user"): {"packets_forwarded": 70_050},
    }
    load = table(RATES, ["none", "user"], lost)
    assert of_arm(load, "user")["broke"] is None
    assert (of_arm(load, "none")["broke"], of_arm(load, "none")["by"]) == (80.0, "packets")
    assert of_arm(load[load["arm"] != "none"], "user")["broke"] == 80.0


def test_an_arm_that_breaks_at_once_has_held_nowhere() -> None:
    found = of_arm(table(RATES, ["none", "user"], {("rate", 10.0, "user"): {"events_lost": 500}}), "user")
    assert (found["held"], found["broke"]) == (None, 10.0)


def test_a_shorter_period_is_more_load() -> None:
    load = table({"period": [20.0, 5.0, 1.0]}, ["none", "user"], {("period", 5.0, "user"): {"events_lost": 500}})
    found = of_arm(load, "user", "period")
    assert (found["held"], found["broke"]) == (20.0, 5.0)


def test_turns_that_were_not_offered_are_left_out_and_said() -> None:
    late = {"packets_offered": 90_000, "packets_forwarded": 80_000, "events_lost": 500}
    load = table(RATES, ["none", "user"], {("rate", 80.0, "user"): late})
    assert of_arm(load, "user")["broke"] is None
    assert of_arm(load, "user")["held"] == 40.0
    assert breaks.find(load)["sweeps"]["rate"]["not_offered"] == [
        {"value": 80.0, "arm": "user", "turns": 3, "offered_share": 0.9}
    ]


def test_the_first_to_break_is_the_one_at_the_lightest_load() -> None:
    lost = {("rate", 40.0, "user"): {"events_lost": 900}, ("rate", 20.0, "kernel"): {"events_lost": 5}}
    found = breaks.find(table(RATES, ["none", "user", "kernel"], lost))
    assert found["sweeps"]["rate"]["first"] == "kernel"
