"""Packets → windows → features under every clock and arithmetic that the study compares, all packets at once.

With the clock `flow`, whole IATs and the population variance, these are features.py's integers, bit for bit. The other
variants do what the authors' training and kernel do instead (their public code, see study.CAUSES).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from upfml.base.flowkey import FIVE_TUPLE, flow_id
from upfml.packets.features import IAT_MAX, UNIT_NS, WINDOW_IATS_MAX

Clock = Literal["flow", "trace", "drifting"]
"""Window boundaries: multiples of W since the flow's first packet; multiples of W since the trace's first packet; or,
after the flow's first packet, at each first packet that is W or more after the last boundary."""

Whole = Literal["nothing", "iats", "features"]
"""What is rounded down: nothing; each IAT, before the sums, so that all is integer; or the features, at the end."""

FEATURES = ["iat_mean", "iat_var", "prev_iat_mean", "prev_iat_var"]
"""The paper's, in the order of its model's inputs; the study is of these alone, whatever else a window has."""

Integers = NDArray[np.int64]
Numbers = NDArray[Any]
"""Integers or float64."""


@dataclass(frozen=True)
class Arithmetic:
    """How IATs become features, in units of `unit` and its square.

    `rounded mean` is the mean of the squares less the square of the mean, both rounded down beforehand; it is never
    negative, for the rounded-down mean of the squares is at least that square.
    """

    unit: Literal["us", "ms"] = "us"
    whole: Whole = "nothing"
    variance: Literal["population", "sample", "rounded mean"] = "population"


@dataclass(frozen=True)
class Trace:
    """The packets that have an IAT, in order of flow, then of time: all (packets,) but `names` and `labels` (flows,).

    `first_ns` is when the packet's flow began. A flow that the collector's table had evicted begins anew: another life
    of the same flow.
    """

    flow: Integers
    life: Integers
    first_ns: Integers
    t_ns: Integers
    iat_ns: Integers
    names: list[str]
    labels: Integers

    @classmethod
    def of(cls, packets: pd.DataFrame, flows: pd.DataFrame) -> Trace:
        """From the tables packets (in order of time) and flows; packets of flows that no generator made are left out.

        Each flow begins at its first packet in the table.
        """
        by_flow = packets.groupby(FIVE_TUPLE, sort=False, observed=True)
        names = [flow_id(*cast("tuple[str, int, str, int, int]", five_tuple)) for five_tuple in by_flow.groups]
        label_of = flows.set_index("flow")["label"]
        known = np.array([name in label_of.index for name in names])
        code = by_flow.ngroup().to_numpy()
        order = np.argsort(code, kind="stable")
        order = order[known[code[order]]]
        flow = (np.cumsum(known) - 1)[code[order]]
        t_ns, iat_ns = (packets[column].to_numpy()[order] for column in ("t_ns", "iat_ns"))
        begins = (np.diff(flow, prepend=-1) != 0) | (iat_ns < 0)
        life = np.cumsum(begins) - 1
        first_ns = t_ns[begins][life]
        has_iat = ~begins
        left = [name for name, is_known in zip(names, known, strict=True) if is_known]
        labels = label_of.loc[left].to_numpy().astype(np.int64)
        return cls(flow[has_iat], life[has_iat], first_ns[has_iat], t_ns[has_iat], iat_ns[has_iat], left, labels)


def window_starts(trace: Trace, clock: Clock, window_ns: int) -> Integers:
    """Indices of the packets that are the first with an IAT of their window. Windows without an IAT do not exist."""
    if clock == "drifting":
        return _drifting(trace, window_ns)
    origin = trace.first_ns if clock == "flow" else trace.first_ns.min()
    number = (trace.t_ns - origin) // window_ns
    return np.flatnonzero((np.diff(number, prepend=-1) != 0) | (np.diff(trace.life, prepend=-1) != 0))


def _drifting(trace: Trace, window_ns: int) -> Integers:
    starts = []
    for begin, end in pairwise(np.flatnonzero(np.diff(trace.life, prepend=-1, append=-1)).tolist()):
        at, boundary_ns = begin, trace.first_ns[begin]
        while at < end:
            following = at + int(np.searchsorted(trace.t_ns[at:end], boundary_ns + window_ns))
            if following > at:  # else the flow's first window has no IAT
                starts.append(at)
            at = following
            boundary_ns = trace.t_ns[at] if at < end else 0
    return np.array(starts, dtype=np.int64)


def statistics(trace: Trace, starts: Integers, arithmetic: Arithmetic) -> tuple[Numbers, Numbers]:
    """Mean and variance of each packet's window up to and with that packet, both (packets,).

    Integers when anything is rounded down, else float64. IATs beyond features.WINDOW_IATS_MAX of a window are left out.
    """
    unit_ns = UNIT_NS[arithmetic.unit]
    one_by_one = arithmetic.whole == "iats"
    iat: Numbers = np.minimum(trace.iat_ns // unit_ns, IAT_MAX) if one_by_one else trace.iat_ns / unit_ns
    place = np.arange(len(iat)) - np.repeat(starts, np.diff(starts, append=len(iat)))
    iat[place >= WINDOW_IATS_MAX] = 0
    n = np.minimum(place + 1, WINDOW_IATS_MAX)
    total, squares = _running(iat, starts), _running(iat * iat, starts)
    if one_by_one:
        return total // n, _whole_variance(n, total, squares, arithmetic)
    mean, variance = total / n, _variance(n, total, squares, arithmetic)
    if arithmetic.whole == "features":
        return np.floor(mean).astype(np.int64), np.floor(variance).astype(np.int64)
    return mean, variance


def _running(values: Numbers, starts: Integers) -> Numbers:
    """Sums within each window; window by window, so that a float's sum has no other window's rounding in it."""
    return np.concatenate([np.cumsum(window) for window in np.split(values, starts[1:])])


def _whole_variance(n: Integers, total: Integers, squares: Integers, arithmetic: Arithmetic) -> Integers:
    """Rounded down from the exact rational value, within int64.

    With total = m·n + r, the numerator n·Σx² − (Σx)² is n·(Σx² − m²·n − 2·m·r) − r²: divided by n first, it fits.
    """
    mean = total // n
    rest = total - mean * n
    if arithmetic.variance == "rounded mean":
        return squares // n - mean * mean
    by_n = squares - mean * mean * n - 2 * mean * rest - (rest * rest + n - 1) // n
    variance: Integers = by_n // (n if arithmetic.variance == "population" else np.maximum(n - 1, 1))
    return variance


def _variance(n: Integers, total: Numbers, squares: Numbers, arithmetic: Arithmetic) -> Numbers:
    """The same in float64; the sample variance of one IAT counts as 0, as in the authors' training."""
    variance: Numbers = np.floor(squares / n) - np.floor(total / n) ** 2
    if arithmetic.variance != "rounded mean":
        by_n = np.where(n > 1, np.maximum(squares - total * total / n, 0), 0)
        variance = by_n / (n if arithmetic.variance == "population" else np.maximum(n - 1, 1))
    return variance


@dataclass(frozen=True)
class Decisions:
    """What is classified: `features` (n, 4), in the order of FEATURES; `flow` and `begins`, both (n,).

    `begins` is the packet with which the window begins.
    """

    features: Numbers
    flow: Integers
    begins: Integers


def decisions(
    trace: Trace,
    clock: Clock,
    window_ns: int,
    arithmetic: Arithmetic,
    *,
    every_packet: bool = False,
    zeros_first: bool = False,
) -> Decisions:
    """Every closed window, or every packet with its running window, in the trace's order.

    A window with none before it in its flow is left out, or, with `zeros_first`, has zeros for the one before.
    """
    starts = window_starts(trace, clock, window_ns)
    ends = np.append(starts[1:], len(trace.t_ns)) - 1
    window = np.repeat(np.arange(len(starts)), ends - starts + 1)
    mean, variance = statistics(trace, starts, arithmetic)
    life = trace.life[starts]
    has_previous = np.diff(life, prepend=-1) == 0
    closed = np.diff(life, append=-1) == 0
    chosen = np.arange(len(window)) if every_packet else ends[closed]
    if not zeros_first:
        chosen = chosen[has_previous[window[chosen]]]
    of = window[chosen]
    before = np.where(has_previous[of], ends[of - 1], -1)
    previous = (np.where(before >= 0, column[before], 0) for column in (mean, variance))
    features = np.column_stack([mean[chosen], variance[chosen], *previous])
    return Decisions(features, trace.flow[chosen], starts[of])
