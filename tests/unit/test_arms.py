"""Arms: a name says all of its arm."""

from __future__ import annotations

import pytest

from upfml.arms import NONE, PAPER_ARMS, SETS, STRONGEST_ARMS, Arm, Arms
from upfml.base.errors import UserError
from upfml.bpf.delivery import Delivery


@pytest.mark.parametrize("name", SETS["every"])
def test_a_name_is_read_and_written_alike(name: str) -> None:
    assert Arm.parse(name).name == name


def test_every_set_is_of_arms_that_there_are() -> None:
    assert all(set(names) <= set(SETS["every"]) for names in SETS.values())
    assert {NONE, *PAPER_ARMS.values(), *STRONGEST_ARMS.values()} <= set(Arms.of("compared"))


def test_what_a_name_says() -> None:
    arm = Arm.parse("kernel-packet-perf")
    assert (arm.kind, arm.when, arm.by, arm.emit) == ("kernel", "packet", "perf", "every")
    assert Arm.parse("native") == Arm("native", "window", "ring", "every")
    assert Arm.parse("kernel-change").emit == "change"


@pytest.mark.parametrize(
    ("name", "by", "delay_ms"), [("native", "ring", 0), ("native-batched", "ring", 1), ("user-perf", "perf", 0)]
)
def test_only_batched_arms_wait(name: str, by: str, delay_ms: float) -> None:
    delivery = Delivery.of(Arm.parse(name).by, delay_ms=1)
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
    assert Arms.of("paper").names == ["none", "user-perf", "kernel-packet-perf"]
    assert Arms.of("kernel").names == ["kernel"]
    assert Arms.of(["none", "user"]).names == ["none", "user"]


def test_only_some_need_a_model() -> None:
    compared = Arms.of("compared")
    assert [name for name in compared.names if name not in compared.classifying.names] == ["none"]


def test_arms_are_found_by_their_names_in_tables() -> None:
    arms = Arms.of(["none", "kernel-change", "user"])
    assert arms["kernel-change"] == Arm("kernel", emit="change")
    assert arms.among(["user", "sklearn", "none", "user"]).names == ["none", "user"]
    assert arms.of_kind("kernel").names == ["kernel-change"]
    with pytest.raises(UserError, match="rows of arm native, but config: arms has only none, kernel-change, user"):
        arms["native"]


def test_who_stands_for_the_papers_arm() -> None:
    assert Arms.of("compared").papers("kernel").name == "kernel-packet-perf"
    assert Arms.of(["none", "kernel-change"]).papers("kernel").name == "kernel-change"
    with pytest.raises(UserError, match="no arm is of kind user"):
        Arms.of(["none", "kernel"]).papers("user")


def test_the_strongest_of_a_side_is_the_best_that_is_there() -> None:
    assert [Arms.of("compared").strongest(role).name for role in ("user", "kernel")] == ["native", "kernel"]
    assert [Arms.of(["user-perf", "user"]).strongest("user").name] == ["user"]
    assert [Arms.of("paper").strongest(role).name for role in ("user", "kernel")] == ["user-perf", "kernel-packet-perf"]
