"""What benchmarks run: the classifier with bpf/bench.h, whose programs take another input or flow at every run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upfml.base.flowkey import UDP
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import Module, Program, fill
from upfml.classify import kernel
from upfml.model import convert
from upfml.model.kinds import TreeModel
from upfml.packets import frames
from upfml.packets.features import Definition

INPUTS = 4_096
"""BENCH_INPUTS_MAX of bench.h: the inputs that are taken in turn."""
FRAME = frames.n3(frames.inner("10.60.0.1", 40_000, "10.70.0.1", 5_001, UDP, 60))
"""A packet on N3."""


def write(forest: TreeModel, engine: str, folder: Path, config: Mapping[str, Any]) -> None:
    """convert.write by the sections `convert` and `features`, for the kernel alone."""
    how = config["convert"]
    convert.write(
        forest, how["division"], engine, folder,
        thresholds=how["thresholds"], voting=how["voting"], definition=Definition.of(config["features"]),
        user_space=False,
    )  # fmt: skip


def load(
    model: Path, definition: Definition, when: str, flow_table: FlowTable, *, emit: str = "every"
) -> tuple[Module, list[Program]]:
    """kernel.load with bench.h around the engine of `model`, a folder of convert.write, which is left as it is.

    The model may have any number of features: the inputs come from a map.
    """
    with tempfile.TemporaryDirectory() as folder:
        timed = Path(shutil.copytree(model, Path(folder) / "model"))
        (timed / "engine.h").rename(timed / "timed_engine.h")
        (timed / "engine.h").write_text('#include "bench.h"\n')
        return kernel.load(timed, definition, when, flow_table, emit=emit, any_features=True)


def begin_round(module: Module, length: int, address_at: int = 0) -> None:
    """Take inputs or flows from the first on, `length` of them over and over (struct bench_round)."""
    rounds = module["bench_rounds"]
    rounds[rounds.Key(0)] = rounds.Leaf(0, length, address_at)


def answers(module: Module, length: int) -> NDArray[np.int32]:
    """The class that was found for each of the first `length` inputs; -1 for none since `forget`."""
    table = module["bench_answers"]
    return np.array([answer for _, answer in table.items_lookup_batch()], np.int32)[:length]


def forget(module: Module) -> None:
    """No input has been answered."""
    fill(module["bench_answers"], np.full(INPUTS, -1, np.int32))
