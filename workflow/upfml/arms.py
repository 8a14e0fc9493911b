"""The arms: what is put on N3, and how its events reach user space. An arm's name says all of it.

    KIND[-packet][-perf|-batched][-change]

KIND is `none` (forwarding alone), `collect` (the collector; nothing is classified), `user` (collector, Python, ctypes:
the paper's baseline, section 3.2), `native` (collector, and in C what `user` does in Python), `afxdp` (all of it in
user space, packets by AF_XDP) or `kernel` (XDP, engine). Without more it classifies each window once, when it closes,
and events come by ring buffer, each decision one event. `-packet`: every packet on the running window, as the authors'
kernel code does; `-perf`: by perf buffers, a wake-up an event, as in the paper; `-batched`: events wait in the ring for
`delivery.delay_ms`, to be read together, which saves wake-ups and costs latency; `-change`: only decisions that change
a flow's class.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from upfml.base.errors import UserError

_NAME = re.compile(
    r"(?P<kind>none(?=$)"
    r"|collect(?!.*-packet|.*-change)"
    r"|user(?!.*-change)"
    r"|native(?!.*-perf|.*-change)"
    r"|afxdp(?!.*-perf|.*-batched|.*-change)"
    r"|kernel)"
    r"(?P<packet>-packet)?(-(?P<by>perf|batched))?(?P<change>-change)?"
)
SETS = {
    "paper": ["none", "user-perf", "kernel-packet-perf"],
    "strongest": ["none", "native", "kernel-change"],
    "compared": [
        *("none", "user-perf", "user", "native", "native-batched", "afxdp"),
        *("kernel-packet-perf", "kernel", "kernel-change"),
    ],
    "every": [
        *("none", "collect-perf", "collect", "collect-batched", "user-packet-perf", "user-packet"),
        *("user-packet-batched", "user-perf", "user", "user-batched", "native-packet", "native-packet-batched"),
        *("native", "native-batched", "afxdp-packet", "afxdp", "kernel-packet-perf", "kernel-packet"),
        *("kernel-packet-batched", "kernel-packet-change", "kernel-perf", "kernel", "kernel-batched", "kernel-change"),
    ],
}
"""Named choices of arms (config.yaml: arms)."""


@dataclass(frozen=True)
class Arm:
    """One arm, or what else may be on N3.

    `capture` keeps every packet, `exactness` also classifies it on both sides.
    """

    kind: str
    when: str = "window"  # classified: a window when it closes, or at every packet
    by: str = "ring"  # ring, perf or batched: how events reach user space
    emit: str = "every"  # decision, or those that change a flow's class

    @classmethod
    def parse(cls, name: str) -> Self:
        """From its name. Raises UserError when there is no such arm."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise UserError(
                f"config: arms: there is no arm {name}",
                f"name one of the sets {', '.join(SETS)}, or arms out of {', '.join(SETS['every'])}",
            )
        return cls(
            found["kind"],
            "packet" if found["packet"] else "window",
            found["by"] or "ring",
            "change" if found["change"] else "every",
        )

    @property
    def suffixes(self) -> list[str]:
        """What its name says after its kind: how it differs from the plain arm of that kind."""
        plain = Arm(self.kind)
        said = [(self.when, plain.when), (self.by, plain.by), (self.emit, plain.emit)]
        return [value for value, unsaid in said if value != unsaid]

    @property
    def name(self) -> str:
        """What `parse` reads; the arm in the column `arm` of the tables."""
        return "-".join([self.kind, *self.suffixes])

    def __str__(self) -> str:
        """Its name: so it stands in running text."""
        return self.name

    @property
    def classifies(self) -> bool:
        """Whether it needs a model."""
        return self.kind not in ("none", "collect", "capture")

    @property
    def tells_every(self) -> bool:
        """Whether it sends every decision, not only those that change a flow's class."""
        return self.emit == "every"


NONE = Arm("none")
"""Forwarding alone: what the others are compared with."""
PAPER_ARMS = {"user": Arm("user", by="perf"), "kernel": Arm("kernel", "packet", "perf")}
"""The paper's two arms, as the authors' code has them, by role."""
STRONGEST_ARMS = {"user": Arm("native"), "kernel": Arm("kernel")}
"""The like of them, each as good as we can make it."""


class Arms(Collection[Arm]):
    """Arms in their order, found by name: those of the configuration, or some of these."""

    def __init__(self, arms: Iterable[Arm]) -> None:
        self._by_name = {arm.name: arm for arm in arms}

    @classmethod
    def of(cls, named: str | Sequence[str]) -> Self:
        """From the configuration's `arms`: the name of a set or of one arm, or a list of arms' names.

        Raises UserError as `Arm.parse`.
        """
        names = SETS.get(named, [named]) if isinstance(named, str) else named
        return cls(Arm.parse(name) for name in names)

    def __iter__(self) -> Iterator[Arm]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, arm: object) -> bool:
        return arm in self._by_name.values()

    def __getitem__(self, name: str) -> Arm:
        """The arm of a table's row. Raises UserError when there is none of that name."""
        if name not in self._by_name:
            raise UserError(
                f"there are rows of arm {name}, but config: arms has only {', '.join(self.names)}",
                "remove the folder `results`, or set arms as they were when it was made",
            )
        return self._by_name[name]

    @property
    def names(self) -> list[str]:
        """Of all, in their order."""
        return list(self._by_name)

    @property
    def classifying(self) -> Self:
        """Those that need a model."""
        return type(self)(arm for arm in self if arm.classifies)

    @property
    def telling_every(self) -> Self:
        """Those of them that send every decision: of the others' windows most features are not known."""
        return type(self)(arm for arm in self.classifying if arm.tells_every)

    def of_kind(self, kind: str) -> Self:
        """Those of one kind."""
        return type(self)(arm for arm in self if arm.kind == kind)

    def among(self, names: Iterable[str]) -> Self:
        """Those that a table has rows of; `names` is its column `arm`."""
        present = set(names)
        return type(self)(arm for arm in self if arm.name in present)

    def papers(self, role: str) -> Arm:
        """The arm that stands for the paper's `user` or `kernel`: that of PAPER_ARMS, or else the first of its kind.

        Raises UserError when none of that kind is there.
        """
        if PAPER_ARMS[role] in self:
            return PAPER_ARMS[role]
        for arm in self.of_kind(role):
            return arm
        raise UserError(
            f"config: arms: no arm is of kind {role}, so nothing can be compared with the paper's",
            f"add {PAPER_ARMS[role].name} to arms",
        )

    def strongest(self, role: str) -> Arm:
        """The best arm of the side `user` or `kernel`: that of STRONGEST_ARMS, else the plain one of its kind.

        Else the one that stands for the paper's. Raises UserError as `papers`.
        """
        order = (STRONGEST_ARMS[role], Arm(role), self.papers(role))
        return next(arm for arm in order if arm in self)
