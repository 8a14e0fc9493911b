"""The forest as data in a map (bpf/engines/table.h): nothing is compiled for a model, and models can be swapped.

A feature becomes its rank: how many of the forest's thresholds on it it reaches (x >= T). The classifier finds ranks by
binary search; the tables answer for each rank. There are two forms:

- `bitvectors` (after QuickScorer: Lucchese, Nardini, Orlando, Perego, Tonellotto, Venturini, "QuickScorer: a fast
  algorithm to rank documents with additive ensembles of regression trees", SIGIR 2015). There a node's mask removes the
  leaves that its failed test rules out, and the masks of all failed tests are ANDed. Here they are so beforehand, for
  every rank of a feature, and the masks of passed tests, too, so that only the leaf that is reached is left. Its place
  among 128 of its word comes from a multiplication (de Bruijn); that of a word without a leaf has no votes.
- `nodes`: 8 bytes each, walked level by level, for forests whose bitvectors would not stay in a processor's cache.

Both use integer thresholds and votes as the compiled engines do.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upfml.base.errors import UserError
from upfml.bpf.module import Module, Program
from upfml.bpf.syscall import create_array
from upfml.model.voting import SOFT_ONE

log = logging.getLogger(__name__)

BITVECTOR_BYTES_MAX = 1 << 25
"""A third-level cache as servers have it, and no more memory than a user plane can spare. 50 full trees of depth 10 (4
MiB), 100 (15 MiB) and 500 of depth 5 (30 MiB) take half the time or less that their nodes take, which are small."""

WORDS_MAX, SLOTS, LEVELS_MAX, RANKS, TREES_AT_ONCE, WORDS_AT_ONCE = 1_024, 128, 64, 32, 4, 4
TREES_MAX = 33 * 32 - 1
"""Tail calls times TREES_A_PASS; the last pass has to find that there is no further tree."""

_TABLE_BYTES_MIN = 1 << 20
_TABLE_BYTES_MAX = 1 << 27  # bits of a node for its child's place
_DE_BRUIJN = 0x0218A392CD3D5DBF
_INT64_MAX = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Trees:
    """A forest in integers. Of each tree scikit-learn's `tree_`, the thresholds (nodes,) and votes (nodes, classes)."""

    trees: Sequence[Any]
    thresholds: Sequence[NDArray[np.int64]]
    votes: Sequence[NDArray[np.int64]]


class _TableBytes:
    """The table's bytes: pieces one after another, each at a multiple of 8."""

    def __init__(self, header_bytes: int) -> None:
        self._pieces: list[bytes] = []
        self.size = header_bytes

    def add(self, array: NDArray[Any]) -> int:
        """Where the array is now."""
        place = self.size
        piece = np.ascontiguousarray(array).tobytes()
        piece += bytes(-len(piece) % 8)
        self._pieces.append(piece)
        self.size += len(piece)
        return place

    def bytes(self, header: bytes) -> bytes:
        return b"".join([header, *self._pieces])


def image(forest: Trees) -> tuple[dict[str, Any], bytes]:
    """The form of a forest and the room that it needs (for parts.json), and its table.

    The table is struct forest_table of bpf/engines/table.h; the room is what that is compiled for. Raises UserError
    when the forest has more trees, levels or nodes than a table can have.
    """
    features = forest.trees[0].n_features
    limits = [_distinct(forest, feature) for feature in range(features)]
    levels = max(tree.max_depth for tree in forest.trees)
    if len(forest.trees) > TREES_MAX or levels > LEVELS_MAX:
        raise UserError(
            f"the forest has {len(forest.trees)} trees of up to {levels} levels; a table holds {TREES_MAX} of "
            f"{LEVELS_MAX}",
            "train a smaller forest",
        )
    classes = forest.votes[0].shape[1]
    head = np.zeros(1, header(features))
    made = _TableBytes(head.nbytes)
    head["trees"], head["levels"] = len(forest.trees), levels
    head["votes_of_0"] = len(forest.trees) * SOFT_ONE
    _add_thresholds(made, head, limits)
    searched = made.size
    words = sum(_words(tree) for tree in forest.trees)
    words += -words % WORDS_AT_ONCE
    rows = sum(len(distinct) + 1 for distinct in limits)
    slots_bytes = 4 * max(classes - 1, 1) * SLOTS
    row_bytes = words * (8 * rows + slots_bytes)
    if words <= WORDS_MAX and row_bytes <= BITVECTOR_BYTES_MAX:
        form = "bitvectors"
        head["form"], head["words"], head["stride"] = 0, words, words * 8
        _add_bitvectors(made, head, forest, limits)
    else:
        form = "nodes"
        log.info(
            "as bitvectors the forest would take %d words of %d (%.0f MiB of %.0f): its nodes are walked instead",
            words, WORDS_MAX, row_bytes / 2**20, BITVECTOR_BYTES_MAX / 2**20,
        )  # fmt: skip
        head["form"], head["stride"] = 1, 1
        _add_nodes(made, head, forest, limits)
    if made.size > _TABLE_BYTES_MAX:
        raise UserError(
            f"the forest takes {made.size} bytes; a table holds {_TABLE_BYTES_MAX}", "train a smaller forest"
        )
    # Thresholds are in the first half, and a search in as many steps as stay there: what is not needed costs a jump.
    size = max(_TABLE_BYTES_MIN, 1 << (max(made.size, 2 * searched) - 1).bit_length())
    room = {"TABLE_BYTES": size, "TABLE_STEPS": (size // 16).bit_length() - 1, "TABLE_LEVELS": int(levels)}
    return {"form": form, "room": room}, made.bytes(head.tobytes())


def header(features: int) -> np.dtype[Any]:
    """struct forest_header of bpf/engines/table.h, for a model of so many features."""
    numbers = ["form", "steps", "words", "trees", "levels", "nodes", "votes", "stride"]
    by_sign = np.dtype([("thresholds", "<u8", 2), ("first", "<u8", 2)])
    return np.dtype([*((name, "<u4") for name in numbers), ("votes_of_0", "<i8"), ("features", by_sign, (features,))])


def _distinct(forest: Trees, feature: int) -> NDArray[np.int64]:
    """The forest's thresholds on a feature, rising."""
    of_trees = [
        limits[(tree.feature == feature) & (tree.children_left >= 0)]
        for tree, limits in zip(forest.trees, forest.thresholds, strict=True)
    ]
    distinct: NDArray[np.int64] = np.unique(np.concatenate(of_trees))
    return distinct


def _add_thresholds(made: _TableBytes, header: NDArray[Any], limits: Sequence[NDArray[np.int64]]) -> None:
    """For each feature T - 1 of its thresholds T, those >= 0 and those < 0 apart, filled up to a power of two.

    Filled up with what no feature of that sign is above. The search finds how many of a power of two, less one, a
    feature is above.
    """
    apart = [(distinct[distinct >= 0], distinct[distinct < 0]) for distinct in limits]
    steps = max(len(part) for parts in apart for part in parts).bit_length()
    header["steps"], size = steps, 2**steps
    none = [made.add(np.full(size, fill)) for fill in (_INT64_MAX, -1)]
    for feature, parts in enumerate(apart):
        for sign, (part, fill) in enumerate(zip(parts, (_INT64_MAX, -1), strict=True)):
            filled = np.full(size, fill, np.int64)
            filled[: len(part)] = part - 1
            header["features"]["thresholds"][0, feature, sign] = made.add(filled) if len(part) else none[sign]
        header["features"]["first"][0, feature] = len(parts[1]), 0  # in ranks; the forms make places of it


def _words(tree: Any) -> int:
    return -(-int(tree.n_leaves) // 64)


def _add_bitvectors(
    made: _TableBytes, header: NDArray[Any], forest: Trees, limits: Sequence[NDArray[np.int64]]
) -> None:
    classes = forest.votes[0].shape[1]
    words = int(header["words"][0])
    rows = [np.zeros((len(distinct) + 1, words), "<u8") for distinct in limits]
    votes = np.zeros((words, SLOTS, max(classes - 1, 1)), "<u4")
    slot_of = (np.uint64(1) << np.arange(64, dtype=np.uint64)) * np.uint64(_DE_BRUIJN) >> np.uint64(57)
    word = 0
    for tree, thresholds, leaf_votes in zip(forest.trees, forest.thresholds, forest.votes, strict=True):
        leaves, low, high = _boxes(tree, thresholds, limits)
        for feature, table in enumerate(rows):
            rank = np.arange(len(table))[:, np.newaxis]
            reached = np.zeros((len(table), _words(tree) * 64), bool)
            reached[:, : len(leaves)] = (low[:, feature] <= rank) & (rank <= high[:, feature])
            packed = np.packbits(reached, axis=1, bitorder="little").view("<u8")
            table[:, word : word + _words(tree)] = packed
        number = np.arange(len(leaves))
        votes[word + number // 64, slot_of[number % 64].astype(int)] = _against_0(leaf_votes[leaves])
        word += _words(tree)
    for feature, table in enumerate(rows):
        header["features"]["first"][0, feature] *= words * 8
        header["features"]["first"][0, feature] += made.add(table)
    header["votes"] = made.add(votes)


def _boxes(
    tree: Any, thresholds: NDArray[np.int64], limits: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The leaves of a tree (leaves,), and between which ranks a sample reaches each (leaves, features), inclusive."""
    low = np.zeros((tree.node_count, len(limits)), np.int64)
    high = np.tile([len(distinct) for distinct in limits], (tree.node_count, 1))
    for node in np.flatnonzero(tree.children_left >= 0):  # parents come before children
        left, right, feature = tree.children_left[node], tree.children_right[node], tree.feature[node]
        low[[left, right]], high[[left, right]] = low[node], high[node]
        number = np.searchsorted(limits[feature], thresholds[node])
        high[left, feature] = min(high[node, feature], number)
        low[right, feature] = max(low[node, feature], number + 1)
    leaves = np.flatnonzero(tree.children_left < 0)
    return leaves, low[leaves], high[leaves]


def _against_0(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The votes of each class but the first less the first's, plus SOFT_ONE, so that they are >= 0."""
    if votes.shape[1] == 1:
        return np.zeros_like(votes)
    return votes[:, 1:] - votes[:, :1] + SOFT_ONE


def _add_nodes(made: _TableBytes, header: NDArray[Any], forest: Trees, limits: Sequence[NDArray[np.int64]]) -> None:
    leaves = [tree.children_left < 0 for tree in forest.trees]
    of_leaves = np.concatenate([_against_0(votes[leaf]) for votes, leaf in zip(forest.votes, leaves, strict=True)])
    of_leaves = np.concatenate([of_leaves, np.zeros_like(of_leaves[:1])])  # and a leaf without votes
    rows, row_of = np.unique(of_leaves, axis=0, return_inverse=True)
    header["votes"] = made.add(rows.astype("<u4"))
    votes_at = int(header["votes"][0]) + 4 * rows.shape[1] * row_of.reshape(-1)
    roots = -(-len(forest.trees) // TREES_AT_ONCE) * TREES_AT_ONCE
    nodes = np.zeros(roots + sum(tree.node_count - 1 for tree in forest.trees), "<u8")
    header["nodes"] = base = made.size
    spare = np.arange(len(forest.trees), roots)
    nodes[spare] = base + 8 * spare | (RANKS - 1) << 27 | votes_at[-1] << 32
    end, leaf_end = roots, 0  # the roots are first
    for root, (tree, thresholds, leaf) in enumerate(zip(forest.trees, forest.thresholds, leaves, strict=True)):
        inner = np.flatnonzero(~leaf)
        inner = inner[np.argsort(_levels(tree)[inner], kind="stable")]
        place = np.full(tree.node_count, root)
        pairs = end + 2 * np.arange(len(inner))
        place[tree.children_left[inner]], place[tree.children_right[inner]] = pairs, pairs + 1
        feature, child, test = (np.zeros(tree.node_count, np.int64) for _ in range(3))
        for number, distinct in enumerate(limits):
            on = inner[tree.feature[inner] == number]
            test[on] = np.searchsorted(distinct, thresholds[on])
        feature[inner], child[inner] = tree.feature[inner], pairs
        feature[leaf], child[leaf] = RANKS - 1, place[leaf]
        test[leaf] = votes_at[leaf_end : leaf_end + leaf.sum()]
        nodes[place] = base + 8 * child | feature << 27 | test << 32
        end, leaf_end = end + 2 * len(inner), leaf_end + int(leaf.sum())
    made.add(nodes)


def _levels(tree: Any) -> NDArray[np.int64]:
    """How many nodes are above each."""
    levels = np.zeros(tree.node_count, np.int64)
    for node in np.flatnonzero(tree.children_left >= 0):
        levels[tree.children_left[node]] = levels[tree.children_right[node]] = levels[node] + 1
    return levels


# Into the kernel


def defines(facts: Mapping[str, Any]) -> dict[str, int]:
    """Room for the forest of parts.json, for the C side."""
    room: dict[str, int] = facts["room"]
    return room


def _slack(classes: int) -> int:
    """The bytes of struct forest_table beyond TABLE_BYTES."""
    return 8 * WORDS_MAX + 4 * WORDS_AT_ONCE * SLOTS * max(classes - 1, 1)


def load(module: Module, folder: Path, facts: Mapping[str, Any]) -> list[Program]:
    """The program that walks nodes, and the forest in its place. Raises KernelRefused."""
    walk = module.load("forest_walk")
    module.tail_call("parts", 0, walk)
    put(module, folder, facts)
    return [walk]


def put(module: Module, folder: Path, facts: Mapping[str, Any]) -> int:
    """Have the classifier use the forest in `folder` from the next packet on; its version, which decisions carry.

    The kernel answers an update of `forests` once every program that was running is through (maybe_wait_bpf_programs).
    The second one is for that alone: who began with the forest before has ended, and its place can be used again.
    Raises UserError when there is no room for the forest.
    """
    needed = facts["room"]
    room = {name: int(module.defines[name] or 0) for name in needed}
    if any(needed[name] > room[name] for name in needed):
        raise UserError(
            f"{folder}: the forest takes {needed}; the classifier was loaded with room for {room}",
            "load the classifier with this forest instead of swapping it in",
        )
    table = (folder / "forest.bin").read_bytes()
    latest = module["forest_version"]
    version = latest[latest.Key(0)].value + 1
    place = ctypes.c_int(version & 1)
    new = create_array("forest", room["TABLE_BYTES"] + _slack(facts["classes"]))
    try:
        with mmap(new, len(table)) as forest:  # an update would copy the room for larger ones, too, three times
            forest[:] = table
        module["forests"][place] = ctypes.c_int(new)
        latest[latest.Key(0)] = latest.Leaf(version)
        module["forests"][place] = ctypes.c_int(new)
    finally:
        os.close(new)
    return int(version)
