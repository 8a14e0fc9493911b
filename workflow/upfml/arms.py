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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from upfml.base.errors import UserError
from upfml.bpf.delivery import Delivery

_NAME = re.compile(
    r"(?P<kind>none(?=$)|collect(?!.*-packet|.*-change)|user(?!.*-change)|native(?!.*-perf|.*-change)|kernel"
    r"|afxdp(?!.*-perf|.*-batched|.*-change))(?P<packet>-packet)?(-(?P<by>perf|batched))?(?P<change>-change)?"
)
SETS = {
    "paper": ["none", "user-perf", "kernel-packet-perf"],
    "strongest": ["none", "native", "kernel-change"],
    "compared": [
        *("none", "collect", "user-perf", "user", "native", "native-batched", "afxdp"),
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

PAPER = {"user": "user-perf", "kernel": "kernel-packet-perf"}
"""The paper's two arms, as the authors' code has them."""
STRONGEST = {"user": "native", "kernel": "kernel"}
"""The like of them, each as good as we can make it."""


@dataclass(frozen=True)
class Arm:
    """One arm, or what else may be on N3.

    `capture` keeps every packet, `exactness` also classifies it on both sides.
    """

    kind: str
    when: str = "window"
    by: str = "ring"
    emit: str = "every"

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
    def name(self) -> str:
        """What `parse` reads."""
        plain = Arm(self.kind)
        said = [(self.when, plain.when), (self.by, plain.by), (self.emit, plain.emit)]
        return "-".join([self.kind, *(value for value, unsaid in said if value != unsaid)])

    @property
    def classifies(self) -> bool:
        """Whether it needs a model."""
        return self.kind not in ("none", "collect", "capture")

    def delivery(self, config: Mapping[str, Any]) -> Delivery:
        """How its events reach user space; `config` is the section `delivery` of config.yaml."""
        batched = self.by == "batched"
        return Delivery.of("ring" if batched else self.by, config["delay_ms"] if batched else 0.0)


def papers(role: str, present: Iterable[str]) -> str:
    """The arm that stands for the paper's `user` or `kernel` among those that are there; that of PAPER, if it can.

    Raises UserError when none of that kind is there.
    """
    of_kind = [arm for arm in present if arm.split("-")[0] == role]
    if not of_kind:
        raise UserError(f"config: arms: none is of kind {role}, so there is nothing to hold against the paper's",
                        f"add {PAPER[role]} to arms")  # fmt: skip
    return PAPER[role] if PAPER[role] in of_kind else of_kind[0]


def chosen(config: Mapping[str, Any]) -> list[str]:
    """The names of the arms that the configuration names. Raises UserError as `Arm.parse`."""
    arms = config["arms"]
    names = list(SETS.get(arms, [arms])) if isinstance(arms, str) else list(arms)
    for name in names:
        Arm.parse(name)
    return names
