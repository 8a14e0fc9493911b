"""The classifier in the kernel: bpf/classify.bpf.c with a converted forest, and the reader of its decisions."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import numpy as np
import pandas as pd

from upfml import events, tables
from upfml.bpf import Module, Program
from upfml.features import Definition
from upfml.flowtable import FlowTable
from upfml.job import Job


def load(
    model: Path, definition: Definition, when: str, flow_table: FlowTable, *, replay: bool = False
) -> tuple[Module, list[Program]]:
    """Compile the classifier with the forest of `model` (a folder written by convert.write) and load its programs.

    The first program is the one to attach; the others are its tail calls. Raises VerifierRefused.
    """
    parts = len(tables.read_json(model / "parts.json")["parts"])
    defines: dict[str, int | str | None] = {
        **definition.defines(),
        **flow_table.defines(),
        "FOREST_PARTS": parts,
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


class KernelClassifier:
    """The arm `kernel`."""

    events = "decisions"

    def __init__(self, job: Job) -> None:
        assert job.model is not None
        self.module, self.programs = load(job.model, job.definition, job.when, job.flow_table)
        self._raw = bytearray()
        self._delivered_ns: list[int] = []

    @property
    def received(self) -> int:
        """Decisions so far."""
        return len(self._delivered_ns)

    def event(self, cpu: int, data: int, size: int) -> None:
        """Keep a decision and the time at which it got here."""
        self._delivered_ns.append(time.monotonic_ns())
        self._raw += ctypes.string_at(data, events.DECISION_EVENT.itemsize)

    def table(self) -> tuple[str, pd.DataFrame] | None:
        """The decisions; true classes are not known here."""
        decisions = np.frombuffer(self._raw, events.DECISION_EVENT)
        return "decisions", events.decisions_table(decisions, np.array(self._delivered_ns, dtype="int64"))
