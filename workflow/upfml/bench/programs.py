"""The classifier compiled together with bpf/bench.h, whose programs take another input or flow at every run."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upfml.bpf import Module, Program
from upfml.classify import kernel
from upfml.features import Definition
from upfml.flowtable import FlowTable

INPUTS = 4_096
"""BENCH_INPUTS_MAX of bench.h: the inputs that are taken in turn."""


def load(model: Path, definition: Definition, when: str, flow_table: FlowTable) -> tuple[Module, list[Program]]:
    """kernel.load with bench.h around the engine of `model`, a folder of convert.write, which is left as it is."""
    with tempfile.TemporaryDirectory() as folder:
        timed = Path(shutil.copytree(model, Path(folder) / "model"))
        (timed / "engine.h").rename(timed / "timed_engine.h")
        (timed / "engine.h").write_text('#include "bench.h"\n')
        return kernel.load(timed, definition, when, flow_table)


def begin_round(module: Module, length: int, address_at: int = 0) -> None:
    """Take inputs or flows from the first on, `length` of them over and over (struct bench_round)."""
    rounds = module["bench_rounds"]
    rounds[rounds.Key(0)] = rounds.Leaf(0, length, address_at)


def fill(table: Any, rows: NDArray[Any]) -> None:
    """Write rows, each as long as the map's value, to the entries 0, 1, … of an array map."""
    keys = (table.Key * len(rows))(*range(len(rows)))
    table.items_update_batch(keys, (table.Leaf * len(rows)).from_buffer_copy(np.ascontiguousarray(rows).tobytes()))


def answers(module: Module, length: int) -> NDArray[np.int32]:
    """The class that was found for each of the first `length` inputs; -1 for none since `forget`."""
    table = module["bench_answers"]
    return np.array([answer for _, answer in table.items_lookup_batch()], np.int32)[:length]


def forget(module: Module) -> None:
    """No input has been answered."""
    fill(module["bench_answers"], np.full(INPUTS, -1, np.int32))


def tail_call(module: Module, table: str, slot: int, program: Program) -> None:
    """Put a program into a program array."""
    module[table][ctypes.c_int(slot)] = ctypes.c_int(program.fd)
