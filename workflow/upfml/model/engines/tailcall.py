"""The paper's engine: trees divided over programs that tail-call each other (bpf/engines/tailcall.h)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from upfml.base.errors import UserError
from upfml.bpf.module import KernelRefused, Module, Program
from upfml.model.voting import Voting

Division = int | list[int] | Literal["auto"]

TAIL_CALLS_MAX = 33
"""The kernel's MAX_TAIL_CALL_CNT."""

PROGRAM_MAX = 32_000
"""Instructions of trees in a program: a jump reaches 32,767, and one from its start may have to reach its end."""

_IMMEDIATE = 2.0**31 - 1  # in a comparison; one less, as the compiler may turn x < T into x <= T - 1


def tree_instructions(thresholds: NDArray[np.int64], classes: int) -> int:
    """At most so many BPF instructions is a tree with integer `thresholds`, shape (nodes,); half of that is usual.

    An inner node loads a feature, compares and jumps (2); a threshold that 32 bits do not hold comes first (2). A leaf
    loads, adds and stores for each class but the first (3), and jumps (1).
    """
    wide = int((np.abs(thresholds.astype(np.float64)) >= _IMMEDIATE).sum())
    inner = len(thresholds) // 2
    return 2 * (inner + wide) + (inner + 1) * (3 * max(classes - 1, 1) + 1)


def divide(instructions: Sequence[int], division: Division) -> list[list[int]]:
    """Which trees each program evaluates, in order; `instructions` has a bound of each tree's.

    `auto`: as few programs as hold PROGRAM_MAX instructions each; a tree beyond that has one to itself, for the
    verifier to refuse. A number: programs of nearly equal numbers of trees; 3 divides 10 trees into 4/3/3, as the paper
    does. A list: programs of as many trees each. A number of programs is cut to the number of trees. Raises UserError
    when sizes do not add up to the number of trees.
    """
    trees = len(instructions)
    if isinstance(division, str):
        return _as_few(instructions)
    if isinstance(division, int):
        return [list(map(int, part)) for part in np.array_split(np.arange(trees), min(division, trees))]
    if sum(division) != trees:
        raise UserError(
            f"convert.division {list(division)} adds up to {sum(division)}, not to the forest's {trees} trees",
            "list sizes that add up, or give a number of programs",
        )
    edges = np.cumsum([0, *division])
    return [list(range(a, b)) for a, b in pairwise(edges)]


def _as_few(instructions: Sequence[int]) -> list[list[int]]:
    """Programs filled one after another: as few as there can be of trees in order."""
    parts: list[list[int]] = [[]]
    filled = 0
    for tree, size in enumerate(instructions):
        if parts[-1] and filled + size > PROGRAM_MAX:
            parts.append([])
            filled = 0
        parts[-1].append(tree)
        filled += size
    return parts


def programs(parts: Sequence[Sequence[int]], features: int, voting: Voting, *, forget: bool) -> str:
    """The programs forest_part_0, forest_part_1, … of bpf/engines/tailcall.h, one for each list of trees.

    `features` is how many the model has. With `forget` the verifier is kept from following the paths of a tree through
    the next.
    """
    vote = {
        "majority": f"\tpad->votes[model_tree_{{}}(features, {features})] += 1;",
        "soft": f"\tmodel_tree_{{}}(features, {features}, pad->votes);",
    }[voting]
    if forget:
        vote += "\n\tforget_features();"
    texts = []
    for number, trees in enumerate(parts):
        votes = "\n".join(map(vote.format, trees))
        texts.append(
            f"int forest_part_{number}(struct xdp_md *ctx)\n{{\n"
            "\tstruct scratchpad *pad = scratchpad();\n\tconst int64_t *features;\n\n"
            "\tif (!pad)\n\t\treturn XDP_PASS;\n"
            "\tfeatures = pad->features;\n"
            f"{votes}\n\treturn part_end(ctx, pad, {number + 1});\n}}\n"
        )
    return "\n".join(texts)


def defines(facts: Mapping[str, Any]) -> dict[str, int]:
    """How many programs the forest of parts.json takes, for the C side.

    Raises KernelRefused for more programs than TAIL_CALLS_MAX, which the verifier would let pass, and the kernel would
    not call.
    """
    parts = len(facts["parts"])
    if parts > TAIL_CALLS_MAX:
        reason = f"the forest takes {parts} programs; the kernel calls at most {TAIL_CALLS_MAX}, one from another"
        raise KernelRefused(f"forest_part_{TAIL_CALLS_MAX}", reason)
    return {"FOREST_PARTS": parts}


def load(module: Module, folder: Path, facts: Mapping[str, Any]) -> list[Program]:
    """The programs forest_part_0, …, each where the one before calls it. Raises KernelRefused."""
    loaded = [module.load(f"forest_part_{part}") for part in range(len(facts["parts"]))]
    for part, program in enumerate(loaded):
        module.tail_call("parts", part, program)
    return loaded
