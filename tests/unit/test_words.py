"""words: numbers are written in one way."""

import pytest

from upfml.base import words
from upfml.base.statistics import Estimate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9046, "0.905"),
        (9.996, "10.0"),
        (12.87, "12.9"),
        (99.96, "100"),
        (999.6, "1,000"),
        (5736.07, "5,736"),
        (-3.2, "−3.20"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_three_digits_but_no_fewer_than_a_whole_number_has(value: float | None, text: str) -> None:
    assert words.number(value) == text


def test_digits_and_decimals_can_be_chosen() -> None:
    assert words.number(12.873, 4) == "12.87"
    assert words.number(1234.567, decimals=2) == "1,234.57"


@pytest.mark.parametrize(("value", "text"), [(0.5, "+0.50"), (-0.5, "−0.50"), (0.001, "0.00"), (-0.001, "0.00")])
def test_a_difference_has_a_sign_unless_it_rounds_to_nothing(value: float, text: str) -> None:
    assert words.number(value, decimals=2, signed=True) == text


@pytest.mark.parametrize(
    ("value", "text"), [(12.87, "12.87"), (3452.09, "3,452.09"), (12000.0, "12,000"), (0.37, "0.37")]
)
def test_what_was_given_keeps_its_digits(value: float, text: str) -> None:
    assert words.given(value) == text


def test_an_estimate_has_its_interval_where_there_is_one() -> None:
    assert words.estimate(Estimate(12.87, 11.8, 14.06, 9), " %") == "12.9 [11.8,\N{NO-BREAK SPACE}14.1] %"
    assert words.estimate(Estimate(-1.0, -2.0, 0.5, 9), signed=True) == "−1.00 [−2.00,\N{NO-BREAK SPACE}+0.500]"
    assert words.estimate(Estimate(12.87, None, None, 1), " %") == "12.9 %"
    assert words.interval(None, None) == "–"
