"""All trees in the classifier's one program (bpf/engines/inline.h)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upfml.bpf.module import KernelRefused, Module, Program
from upfml.model.voting import Voting

_JUMP_MAX = 32_767
"""Instructions that a jump reaches over; those of the classifier that leave early have to pass the trees."""


def check(nodes: int) -> None:
    """Raise KernelRefused for a forest of so many nodes that its program cannot load, as compiling it would take long.

    Two nodes take one instruction at the very least; programs that pass here may be refused all the same.
    """
    if nodes > 2 * _JUMP_MAX:
        raise KernelRefused("classify", f"more than {nodes // 2} instructions of trees; a jump reaches {_JUMP_MAX}")


def defines(facts: Mapping[str, Any]) -> dict[str, int]:
    """Nothing for the C side. Raises KernelRefused (see `check`)."""
    check(facts["nodes"])
    return {}


def load(module: Module, folder: Path, facts: Mapping[str, Any]) -> list[Program]:
    """No program but the classifier."""
    return []


def votes(trees: int, features: int, voting: Voting) -> str:
    """The function forest_votes of bpf/engines/inline.h, which adds what each tree of so many says to `votes`.

    `features` is how many the model has.
    """
    vote = {
        "majority": f"\tvote_for(model_tree_{{}}(features, {features}), votes);",
        "soft": f"\tmodel_tree_{{}}(features, {features}, votes);",
    }[voting]
    calls = "".join(f"{vote.format(tree)}\n\tforget_features();\n" for tree in range(trees))
    return f"static __always_inline void forest_votes(const int64_t *features, s64 *votes)\n{{\n{calls}}}\n"
