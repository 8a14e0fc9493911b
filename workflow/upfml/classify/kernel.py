"""The classifier in the kernel: bpf/classify.bpf.c with a converted forest, and the reader of its decisions."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from upfml import events, tables
from upfml.bpf import Module, Program
from upfml.features import Definition
from upfml.flowtable import FlowTable
from upfml.reader import Reader


def load(
    model: Path,
    definition: Definition,
    when: str,
    flow_table: FlowTable,
    *,
    replay: bool = False,
    also: Sequence[str] = (),
) -> tuple[Module, list[Program]]:
    """Compile the classifier with the forest of `model` (a folder written by convert.write) and load its programs.

    The first program is the one to attach; the others are its tail calls. With `replay` it takes arrival times from
    packets' metadata; `also` are names to define, HAND_OUT_PACKETS or FLOW_UNLOCKED (see the C).
    Raises VerifierRefused.
    """
    parts = len(tables.read_json(model / "parts.json")["parts"])
    defines: dict[str, int | str | None] = {
        **definition.defines(),
        **flow_table.defines(),
        "FOREST_PARTS": parts,
        **dict.fromkeys(also),
    }
    if when == "packet":
        defines["CLASSIFY_PACKETS"] = None
    if replay:
        defines["REPLAY_CLOCK"] = None
    module = Module("classify.bpf.c", defines, [model])
    programs = [module.load("classify"), *(module.load(f"forest_part_{part}") for part in range(parts))]
    for part, program in enumerate(programs[1:]):
        module["parts"][ctypes.c_int(part)] = ctypes.c_int(program.fd)
    return module, programs


class DecisionRecorder(Reader):
    """Every decision event becomes a row of the decisions table."""

    schema = tables.DECISIONS

    def __init__(self) -> None:
        self._raw = bytearray()
        self._delivered_ns: list[int] = []

    def event(self, cpu: int, data: int, size: int) -> None:
        """Keep a decision and the time at which it got here."""
        self.received += 1
        self._delivered_ns.append(time.monotonic_ns())
        self._raw += ctypes.string_at(data, events.DECISION_EVENT.itemsize)

    def table(self) -> pd.DataFrame:
        """The decisions; true classes are not known here."""
        decisions = np.frombuffer(self._raw, events.DECISION_EVENT)
        return events.decisions_table(decisions, np.array(self._delivered_ns, dtype="int64"))
