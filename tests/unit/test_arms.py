"""Arms: a name says all of its arm."""

from __future__ import annotations

import pytest

from upfml import arms
from upfml.arms import SETS, Arm
from upfml.base.errors import UserError


@pytest.mark.parametrize("name", SETS["every"])
def test_a_name_is_read_and_written_alike(name: str) -> None:
    assert Arm.parse(name).name == name


def test_every_set_is_of_arms_that_there_are() -> None:
    assert all(set(names) <= set(SETS["every"]) for names in SETS.values())
    assert {*arms.PAPER.values(), *arms.STRONGEST.values()} <= set(SETS["compared"])


def test_what_a_name_says() -> None:
    arm = Arm.parse("kernel-packet-perf")
    assert (arm.kind, arm.when, arm.by, arm.emit) == ("kernel", "packet", "perf", "every")
    assert Arm.parse("native") == Arm("native", "window", "ring", "every")
    assert Arm.parse("kernel-change").emit == "change"


@pytest.mark.parametrize(
    ("name", "by", "delay_ms"), [("native", "ring", 0), ("native-batched", "ring", 1), ("user-perf", "perf", 0)]
)
def test_only_batched_arms_wait(name: str, by: str, delay_ms: float) -> None:
    delivery = Arm.parse(name).delivery({"delay_ms": 1})
    assert (delivery.by, delivery.delay_ms) == (by, delay_ms)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "none-perf",
        "collect-packet",
        "native-perf",
        "native-packet-perf",
        "afxdp-perf",
        "user-change",
        "kernels",
        "afxdp-batched",
        "native-batched-perf",
    ],
)
def test_what_cannot_be_is_no_arm(name: str) -> None:
    with pytest.raises(UserError, match="there is no arm"):
        Arm.parse(name)


def test_arms_are_a_set_or_a_list() -> None:
    assert arms.chosen({"arms": "paper"}) == ["none", "user-perf", "kernel-packet-perf"]
    assert arms.chosen({"arms": "kernel"}) == ["kernel"]
    assert arms.chosen({"arms": ["none", "user"]}) == ["none", "user"]


def test_only_some_need_a_model() -> None:
    assert [arm for arm in SETS["compared"] if not Arm.parse(arm).classifies] == ["none", "collect"]


def test_who_stands_for_the_papers_arm() -> None:
    assert arms.papers("kernel", SETS["compared"]) == "kernel-packet-perf"
    assert arms.papers("kernel", ["none", "kernel-change"]) == "kernel-change"
    with pytest.raises(UserError, match="none is of kind user"):
        arms.papers("user", ["none", "kernel"])
