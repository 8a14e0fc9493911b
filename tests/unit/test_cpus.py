"""Which CPUs are the UPF's, and how the kernel reads that."""

from __future__ import annotations

import pytest

from upfml.base.errors import UserError
from upfml.testbed import cpus


@pytest.fixture(params=[2, 3, 8])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(cpus, "online", lambda: list(range(request.param)))
    return int(request.param)


def test_by_default_the_upper_half_is_the_upfs(machine: int) -> None:
    found = cpus.split(None)
    assert found is not None
    assert (found.others, found.upf) == {
        2: ((0,), (1,)),
        3: ((0,), (1, 2)),
        8: ((0, 1, 2, 3), (4, 5, 6, 7)),
    }[machine]


def test_those_that_are_named_are_the_upfs(machine: int) -> None:
    found = cpus.split([0])
    assert found == cpus.Split((0,), tuple(range(1, machine)))
    assert cpus.split([]) is None


def test_one_that_is_not_there_or_that_leaves_none_is_refused(machine: int) -> None:
    with pytest.raises(UserError, match=f"names CPU {machine}"):
        cpus.split([0, machine])
    with pytest.raises(UserError, match="leave none for the traffic"):
        cpus.split(list(range(machine)))


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ([0], "00000001"),
        ([1, 3], "0000000a"),
        ([31], "80000000"),
        ([32], "00000001,00000000"),
        ([0, 40], "00000100,00000001"),
    ],
)
def test_a_mask_is_written_in_words_of_32_bits(of: list[int], text: str) -> None:
    assert cpus.mask(of) == text
