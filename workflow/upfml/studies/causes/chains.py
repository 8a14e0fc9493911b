"""The chains from packets to a class that are compared: scikit-learn on floats, each cause, the authors' kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from upfml.model import convert
from upfml.model.voting import Voting
from upfml.studies.causes.arithmetic import Arithmetic, Clock

_FLOATS = Arithmetic()


@dataclass(frozen=True)
class Chain:
    """What a forest is trained on, always closed windows, and what it is served. The default: scikit-learn on floats.

    `every_packet` and `zeros_first` are arguments of arithmetic.decisions, for what is served.
    """

    trained: Arithmetic = _FLOATS
    trained_clock: Clock = "flow"
    served: Arithmetic = _FLOATS
    clock: Clock = "flow"
    thresholds: convert.Thresholds = "exact"
    voting: Voting = "soft"
    every_packet: bool = False
    zeros_first: bool = False

    def but(self, **switches: Any) -> Chain:
        """Turn some switches.

        Beside this class's own there are `whole` and `variance`, of what is served, `trained_variance`, and `unit`, of
        both: a model trained in one unit cannot be served another.
        """
        served = {name: switches.pop(name) for name in ("whole", "variance") if name in switches}
        trained = {"variance": switches.pop("trained_variance")} if "trained_variance" in switches else {}
        unit = {"unit": switches.pop("unit")} if "unit" in switches else {}
        return replace(
            self,
            served=replace(self.served, **served, **unit),
            trained=replace(self.trained, **trained, **unit),
            **switches,
        )

    @property
    def subjects(self) -> tuple[Clock, bool, bool]:
        """What tells apart the windows or packets that two chains classify."""
        return self.clock, self.every_packet, self.zeros_first

    def trained_as_served(self) -> Chain:
        """The same with a forest trained on the very features that it is served."""
        return replace(self, trained=self.served, trained_clock=self.clock)


@dataclass(frozen=True)
class Cause:
    """One difference between scikit-learn on floats and the authors' kernel: here, there, its switches."""

    name: str
    here: str
    authors: str
    switches: Mapping[str, Any]


FIRST_WINDOW, KERNEL_WINDOWS, USER = "first window", "the authors' kernel, windows once", "the authors' user space"
"""Names of a cause and of two other chains of which more is said than what they cost."""

CAUSES = [
    Cause(
        "IATs in whole µs",
        "IATs to the ns, features as floats",
        "nothing: a step on the way. Trained on floats, served IATs in whole µs",
        {"whole": "iats"},
    ),
    Cause(
        "IATs in whole ms",
        "whole µs",
        "trained on ms as floats (N), served IATs in whole ms (K)",
        {"unit": "ms", "whole": "iats"},
    ),
    Cause(
        "variance formula",
        "(n·Σx² − (Σx)²) / n², rounded down once",
        "served Σx² / n − (Σx / n)², each quotient rounded down (K)",
        {"variance": "rounded mean"},
    ),
    Cause(
        "n or n − 1",
        "population variance in training and service",
        "trained on the sample variance, as pandas computes it (N); served the population's (K)",
        {"trained_variance": "sample"},
    ),
    Cause(
        "window clock",
        "multiples of the window's length W since the flow's first packet",
        "trained on these (N); a served window begins at the first packet W or more after the last began (K)",
        {"clock": "drifting"},
    ),
    Cause(
        "thresholds",
        "x ≤ t, as scikit-learn on every integer",
        "x < t without its fraction: emlearn on integer features (N)",
        {"thresholds": "emlearn"},
    ),
    Cause(
        "voting",
        "class shares of the leaves, added up",
        "one vote a tree (K; paper, section 3.2)",
        {"voting": "majority"},
    ),
    Cause(
        "every packet",
        "a window, once, when it closes",
        "trained on whole windows (N); served the running window at every packet (K)",
        {"every_packet": True},
    ),
    Cause(
        FIRST_WINDOW,
        "not classified, as no window is before it",
        "left out of training (N); served with zeros for the window before (K)",
        {"zeros_first": True},
    ),
]
"""In the order in which they are added up.

What the authors did is read in the repository that the paper's section 3.3 names: (K) is kernel_class/
monitorjanela.bpf.c at commit dda971f, (N) the notebook data/modelo-org.ipynb at 196072e. Two differences are left out:
(N) counts a flow's first packet as an IAT of 0, and trains on the last, unfinished window of each flow.
"""

HONEST = Chain()


def added_up(causes: list[Cause]) -> list[Chain]:
    """One more cause switched on each time, beginning with the first."""
    chains = [HONEST]
    for cause in causes:
        chains.append(chains[-1].but(**cause.switches))
    return chains[1:]


AUTHORS = added_up(CAUSES)[-1]
"""The kernel as in the authors' code."""
EXACT = HONEST.but(whole="iats").trained_as_served()
"""This project's kernel with `exact` thresholds and `soft` voting."""


@dataclass(frozen=True)
class Other:
    """A chain beside the causes: its name, and what it is in words."""

    name: str
    words: str
    chain: Chain


_MS = HONEST.but(unit="ms", whole="iats")
_USER = {"unit": "ms", "whole": "features", "trained_variance": "sample", "clock": "drifting", "zeros_first": True}
OTHERS = [
    Other("whole ms, trained on them", "trained and served IATs in whole ms", _MS.trained_as_served()),
    Other(
        "whole ms and formula, trained on them",
        "the same, both with the authors' variance formula",
        _MS.but(variance="rounded mean").trained_as_served(),
    ),
    Other(
        "whole ms and thresholds",
        "trained on ms as floats, served whole ms, with emlearn's thresholds",
        _MS.but(thresholds="emlearn"),
    ),
    Other(
        "trace's clock in training",
        "trained on windows at multiples of W of the trace's clock, served the flow's",
        HONEST.but(trained_clock="trace"),
    ),
    Other(KERNEL_WINDOWS, "all causes but “every packet”", AUTHORS.but(every_packet=False)),
    Other(
        USER,
        "served mean and population variance of ms as floats, then cast to integers; drifting windows, each once",
        HONEST.but(**_USER, thresholds="emlearn", voting="majority"),
    ),
]
"""User space is read in user_class/monitor.py and wrapper.c at commit 1fe6179."""
