"""One number of the paper beside ours, and how they agree.

A number can agree with the paper's in two ways. Each is judged on its own:

- direction: the kernel is above (or below) user space, as in the paper. It is "not resolved" where the interval of the
  difference over the trials includes zero;
- magnitude: an accuracy lies within 1 percentage point of the paper's, a cost (time, CPU, context switches, or a ratio
  of them) within a factor of 2. This machine is not the paper's, so a narrower bound for costs would mean little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from upfml.base import words
from upfml.base.statistics import Estimate

ACCURACY_TOLERANCE_POINTS = 1.0
COST_TOLERANCE_FACTOR = 2.0


@dataclass(frozen=True)
class Comparison:
    """One quantity of one arm: the paper's value (None where it gives none), ours, and how they agree.

    The direction is the sign of `versus`: kernel minus user, or the difference that the quantity itself names.
    """

    quantity: str
    arm: str
    unit: str
    paper: float | None
    here: Estimate
    remark: str
    source: str = ""
    paper_versus: float | None = None
    here_versus: Estimate | None = None
    why: str = ""
    """The reason for the agreement or the disagreement, in words."""

    @property
    def is_accuracy(self) -> bool:
        return self.quantity.startswith(("accuracy", "balanced accuracy"))

    @property
    def change(self) -> str:
        """Ours against the paper's: a difference for accuracies, a ratio for costs."""
        if self.paper is None:
            return ""
        if self.is_accuracy:
            return f"{words.number(self.here.value - self.paper, decimals=2, signed=True)} points"
        return f"× {words.number(self.here.value / self.paper)}"

    @property
    def magnitude(self) -> str:
        if self.paper is None:
            return ""
        if self.is_accuracy:
            near = abs(self.here.value - self.paper) <= ACCURACY_TOLERANCE_POINTS
        else:
            near = 1 / COST_TOLERANCE_FACTOR <= self.here.value / self.paper <= COST_TOLERANCE_FACTOR
        return "agrees" if near else "differs"

    @property
    def direction(self) -> str:
        if self.paper_versus is None or self.here_versus is None:
            return ""
        here = self.here_versus
        if here.low is not None and here.high is not None and here.low <= 0 <= here.high:
            return "not resolved"
        return "agrees" if here.value * self.paper_versus > 0 else "opposite"

    @property
    def verdict(self) -> str:
        """Whether the paper's number is confirmed."""
        if self.paper is None:
            return ""
        if self.direction == "opposite":
            return "not confirmed"
        if self.direction == "not resolved":
            return "size confirmed, direction not resolved" if self.magnitude == "agrees" else "not resolved"
        if self.magnitude == "agrees":
            return "confirmed"
        return "confirmed in direction only" if self.direction == "agrees" else "not confirmed"

    @property
    def sentence(self) -> str:
        """The verdict, the two values, and why."""
        if self.paper is None:
            return ""
        verdict = self.verdict.capitalize()
        values = f"the paper has {words.given(self.paper)}, this run {words.number(self.here.value, 4)} ({self.unit})"
        return f"{verdict}: {values}.{' Reason: ' + self.why + '.' if self.why else ''}"

    def as_row(self) -> dict[str, Any]:
        """The row of results/paper_vs_here.json."""
        verdicts = [("", self.change), ("direction ", self.direction), ("magnitude ", self.magnitude)]
        parts = ["; ".join(name + verdict for name, verdict in verdicts if verdict), self.remark]
        if self.source:
            parts.append(f"paper: {self.source}")
        if self.here.trials == 1:
            parts.append("one trial, so no interval")
        return {
            "quantity": self.quantity,
            "arm": self.arm,
            "unit": self.unit,
            "paper": self.paper,
            "here": self.here.value,
            "here_low": self.here.low,
            "here_high": self.here.high,
            "trials": self.here.trials,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "note": ". ".join(part for part in parts if part),
        }
