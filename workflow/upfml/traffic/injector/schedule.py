"""Who sends when: flows of one period whose packets are spread evenly, and what a classifier has to make of them.

Time is cut into slots of 1 / rate; slots belong to the flows in turn. So each flow sends once a round, which is its
period, and all together at the rate. Flows do not begin in the same round, but one after the other within a window of
features: windows are of the flow's own clock, and would all close at once. Each sends the same number of packets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from upfml.base.errors import UserError

_WINDOWS_AT_LEAST = 4
_PERIODS_AT_LEAST = 5
"""So that there is time to measure in: decisions come from the third window or period on."""
_BEGINNING = 3
"""Windows or periods until every flow sends, and is decided on whenever one of its windows closes."""
_APART = 0.1
"""By how much of a window the period has to differ from it: else a packet's jitter says in which window it is."""


@dataclass(frozen=True)
class Schedule:
    """Flows, all of which send `packets` packets, `period_ns` apart."""

    interval_ns: int  # between two packets, whichever flow's
    flows: int
    packets: int  # of each flow
    window_ns: int  # of features

    @classmethod
    def of(cls, packets_per_s: float, flows: int, window_ns: int, length_ns: int) -> Self:
        """About `length_ns` of a flow, and more where that has too few windows or periods.

        A flow's last packet is in the middle of a window: no jitter can put it into another.
        Raises UserError when the period is too close to a window.
        """
        interval_ns = round(1e9 / packets_per_s)
        period_ns = flows * interval_ns
        if abs(period_ns - window_ns) < _APART * window_ns:
            raise UserError(
                f"config: load: {flows} flows at {packets_per_s:g} packets/s have a period of {period_ns / 1e6:g} ms, "
                f"so close to load.window_ms ({window_ns / 1e6:g}) that the number of decisions is uncertain",
                "change that value or load.window_ms",
            )
        if period_ns < window_ns:
            windows = max(_WINDOWS_AT_LEAST, length_ns // window_ns)
            periods = (2 * windows + 1) * window_ns // (2 * period_ns)
        else:
            periods = max(_PERIODS_AT_LEAST, length_ns // period_ns)
        return cls(interval_ns, flows, periods + 1, window_ns)

    @property
    def period_ns(self) -> int:
        """Of a flow."""
        return self.flows * self.interval_ns

    @property
    def packets_per_s(self) -> float:
        """Of all flows while all send."""
        return 1e9 / self.interval_ns

    @property
    def sent(self) -> int:
        """Packets of all flows."""
        return self.flows * self.packets

    @property
    def stagger(self) -> int:
        """Rounds in which flows begin."""
        return self.window_ns // self.period_ns

    @property
    def rounds(self) -> int:
        """Until every flow has sent its packets."""
        return (self.flows - 1) * self.stagger // self.flows + self.packets

    @property
    def length_ns(self) -> int:
        """Of all."""
        return self.rounds * self.period_ns

    @property
    def steady_ns(self) -> tuple[int, int]:
        """From when until when all flows send, and decisions come at their pace."""
        return _BEGINNING * max(self.window_ns, self.period_ns), (self.packets - 1) * self.period_ns

    @property
    def decisions(self) -> int:
        """Of all flows, when each window is classified as it closes (upfml/packets/features.py).

        An IAT counts in the window of its packet; windows without one are skipped, the first that closes has no
        previous one, and the last does not close.
        """
        windows = {number * self.period_ns // self.window_ns for number in range(1, self.packets)}
        return self.flows * max(0, len(windows) - 2)

    @property
    def decisions_by_packet(self) -> bool:
        """Whether a packet that is not sent is a decision that is not made: a window may have had no other."""
        return 4 * self.period_ns > self.window_ns
