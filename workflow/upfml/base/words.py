"""Numbers in words: one way to write a number, a difference and an interval, on all pages and figures."""

from __future__ import annotations

from upfml.base.statistics import Estimate

UNKNOWN = "–"
"""In place of a number that there is none of."""


def number(value: float | None, digits: int = 3, *, decimals: int | None = None, signed: bool = False) -> str:
    """With that many significant digits, but no fewer than a whole number has; or with that many `decimals`.

    Thousands are set apart by commas, a minus is a true one. `signed` is for differences: what rises has a plus, and
    what rounds to nothing has no sign.
    """
    if value is None or value != value:
        return UNKNOWN
    if decimals is not None:
        text = f"{abs(value):,.{decimals}f}"
    elif float(f"{abs(value):.{digits}g}") >= 10 ** (digits - 1):
        text = f"{abs(value):,.0f}"
    else:
        text = f"{abs(value):#.{digits}g}"
    if float(text.replace(",", "")) == 0:
        return text
    return f"{'−' if value < 0 else '+' if signed else ''}{text}"


def given(value: float | None) -> str:
    """A number with the digits that it was given with, up to six."""
    return UNKNOWN if value is None or value != value else f"{value:,.6g}".replace("-", "−")


def interval(
    low: float | None, high: float | None, digits: int = 3, *, decimals: int | None = None, signed: bool = False
) -> str:
    """Its two ends in brackets, written as `number` does; no line breaks between them."""
    if low is None or high is None:
        return UNKNOWN
    lowest, highest = (number(end, digits, decimals=decimals, signed=signed) for end in (low, high))
    return f"[{lowest},\N{NO-BREAK SPACE}{highest}]"


def with_interval(
    value: float,
    low: float | None,
    high: float | None,
    digits: int = 3,
    *,
    decimals: int | None = None,
    signed: bool = False,
) -> str:
    """A value and, where there is one, its interval: `12.9 [11.8, 14.1]`."""
    text = number(value, digits, decimals=decimals, signed=signed)
    if low is None or high is None:
        return text
    return f"{text} {interval(low, high, digits, decimals=decimals, signed=signed)}"


def estimate(of: Estimate, unit: str = "", *, signed: bool = False) -> str:
    """A value, its interval and its unit: `12.9 [11.8, 14.1] %`."""
    return with_interval(of.value, of.low, of.high, signed=signed) + unit
