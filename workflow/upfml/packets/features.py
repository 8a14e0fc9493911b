"""The one definition of windows and features, in Python; bpf/include/window.h is the same in C.

A flow's clock starts at its first packet. Window k covers [k·W, (k+1)·W) of that clock; a packet's IAT counts in the
window in which the packet arrives; a window closes when the first packet of a later window arrives; a window without
an IAT is skipped. Features are the mean and population variance of the closing window's IATs, then of the last closed
one's, as integers rounded down from the exact rational value. A flow's first closed window has no previous one and is
not classified. (Paper, section 3.2; it leaves the clock, the rounding and the variance open.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

IAT_MAX = (1 << 23) - 1
"""IAT units; a longer IAT counts as this one. window.h shows why nothing overflows then."""
WINDOW_IATS_MAX = (1 << 16) - 1
"""IATs of one window; further ones are left out of its statistics."""


def no_overflows() -> dict[str, int]:
    """How often either limit was met, by the name of its counter in bpf/include/counters.h: a count to begin with."""
    return {"iat_clamped": 0, "iat_left_out": 0}


UNIT_NS = {"us": 1_000, "ms": 1_000_000}


@dataclass(frozen=True)
class Definition:
    """What the configuration leaves open: the window and the unit of IATs, both in ns."""

    window_ns: int
    iat_unit_ns: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Definition:
        """From the `features` section of config.yaml."""
        return cls(int(config["window_ms"] * 1_000_000), UNIT_NS[config["iat_unit"]])

    def defines(self) -> dict[str, int | str | None]:
        """The same for the C side."""
        return {"WINDOW_NS": f"{self.window_ns}ULL", "IAT_UNIT_NS": f"{self.iat_unit_ns}ULL"}


class ClosedWindow(NamedTuple):
    """A window that can be classified: it closed, and one closed before it."""

    window: int
    packets: int
    features: tuple[int, ...]  # in the order of tables.FEATURES


class Flow:
    """One flow's clock and running window."""

    __slots__ = (
        *("_first_ns", "_iat_sum", "_iat_sum_squares", "_iats", "_overflows", "_packets", "_previous", "_window"),
        "last_ns",
    )

    def __init__(self, t_ns: int, overflows: dict[str, int]) -> None:
        """Begin with the flow's first packet; `overflows` (see no_overflows) is counted on."""
        self._first_ns = t_ns
        self.last_ns = t_ns  # arrival of the latest packet
        self._overflows = overflows
        self._previous: tuple[int, int] | None = None
        self._begin(0)
        self._packets = 1

    def _begin(self, window: int) -> None:
        self._window = window
        self._packets = self._iats = self._iat_sum = self._iat_sum_squares = 0

    def packet(self, t_ns: int, iat_ns: int, definition: Definition) -> ClosedWindow | None:
        """Account for a further packet; the window that it closed, if that window can be classified."""
        closed = None
        self.last_ns = max(self.last_ns, t_ns)
        window = (self.last_ns - self._first_ns) // definition.window_ns
        if window != self._window:
            if self._iats:
                statistics = self._statistics()
                if self._previous is not None:
                    closed = self._window_of(statistics, self._previous)
                self._previous = statistics
            self._begin(window)
        self._packets += 1
        if self._iats == WINDOW_IATS_MAX:
            self._overflows["iat_left_out"] += 1
            return closed
        iat = iat_ns // definition.iat_unit_ns
        if iat > IAT_MAX:
            self._overflows["iat_clamped"] += 1
            iat = IAT_MAX
        self._iats += 1
        self._iat_sum += iat
        self._iat_sum_squares += iat * iat
        return closed

    def running(self) -> ClosedWindow | None:
        """The running window so far, when an earlier one has closed (arms `-packet`)."""
        if self._previous is None:
            return None
        return self._window_of(self._statistics(), self._previous)

    def _window_of(self, statistics: tuple[int, int], previous: tuple[int, int]) -> ClosedWindow:
        return ClosedWindow(self._window, self._packets, statistics + previous)

    def _statistics(self) -> tuple[int, int]:
        n, total = self._iats, self._iat_sum
        return total // n, (n * self._iat_sum_squares - total * total) // (n * n)
