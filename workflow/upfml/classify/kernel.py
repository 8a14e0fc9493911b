"""The classifier in the kernel: bpf/classify.bpf.c with a converted forest, and the reader of its decisions."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.bpf import events
from upfml.bpf.delivery import READ_AT_ONCE, Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import Module, Program
from upfml.bpf.testrun import replay_defines
from upfml.classify import inputs
from upfml.model.engines import inline, table, tailcall
from upfml.packets.features import Definition

_ENGINES: dict[str, Any] = {"tailcall": tailcall, "inline": inline, "table": table}


def load(
    model: Path,
    definition: Definition,
    when: str,
    flow_table: FlowTable,
    delivery: Delivery = READ_AT_ONCE,
    *,
    emit: str = "every",
    replay: bool = False,
    also: Sequence[str] = (),
    any_features: bool = False,
) -> tuple[Module, list[Program]]:
    """Compile the classifier (`compiled` says with what) and load its programs (see `enter`). Raises as both do."""
    module = compiled(
        model, definition, when, flow_table, delivery, emit=emit, replay=replay, also=also, any_features=any_features
    )
    return module, enter(module, model)


def compiled(
    model: Path,
    definition: Definition,
    when: str,
    flow_table: FlowTable,
    delivery: Delivery = READ_AT_ONCE,
    *,
    emit: str = "every",
    replay: bool = False,
    also: Sequence[str] = (),
    any_features: bool = False,
) -> Module:
    """The classifier with the forest of `model`, a folder written by convert.write.

    The engine is the one that the folder was written for. `when` and `emit` are an arm's (arms.py). With `replay` it
    takes packets' own times from TestRun; `also` are names to define: STAMP_STEPS, HAND_OUT_PACKETS, FLOW_UNLOCKED,
    REPLAY_IN_FRONT (see the C). Raises KernelRefused, and UserError when the model has other features than windows,
    unless it gets them from elsewhere (`any_features`).
    """
    if not any_features:
        inputs.check(model)
    facts = files.read_json(model / "parts.json")
    defines: dict[str, int | str | None] = {
        **definition.defines(),
        **flow_table.defines(),
        **delivery.defines(),
        **dict.fromkeys(also),
    }
    if when == "packet":
        defines["CLASSIFY_PACKETS"] = None
    if emit == "change":
        defines["EMIT_CHANGES"] = None
    if replay:
        defines |= replay_defines()
    defines |= _ENGINES[facts["engine"]].defines(facts)
    return Module("classify.bpf.c", defines, [model])


def enter(module: Module, model: Path) -> list[Program]:
    """Load the programs of a compiled classifier: the one to attach, then its tail calls. Raises KernelRefused."""
    facts = files.read_json(model / "parts.json")
    return [module.load("classify"), *_ENGINES[facts["engine"]].load(module, model, facts)]


def swap(module: Module, model: Path) -> int:
    """Put the forest of `model` in the place of that with which `module` was loaded; both are of the engine `table`.

    While packets flow: each is classified by one of the two, whole, and its decision says by which: the first has
    version 1, and this returns that of `model`. Raises UserError when the forest does not fit.
    """
    facts = files.read_json(model / "parts.json")
    if facts["engine"] != "table":
        raise UserError(
            f"{model} was made for the engine {facts['engine']}; only a table can be swapped",
            "convert it with classify.engine table",
        )
    pad = module["scratchpads"].Leaf._type_
    for name, array in {"classes": pad.votes, "features": pad.features}.items():
        number = array.size // ctypes.sizeof(ctypes.c_int64)
        if facts[name] != number:
            raise UserError(
                f"{model} has {facts[name]} {name}, the classifier was loaded for {number}",
                "load the classifier with this forest instead of swapping it in",
            )
    return table.put(module, model, facts)


class DecisionRecorder:
    """Every decision event becomes a row of the decisions table."""

    event, schema = events.DECISION_EVENT, tables.DECISIONS

    def __init__(self, module: Module) -> None:
        """`module` is the classifier's."""
        self._module = module
        self._taken = [np.empty(0, events.DECISION_EVENT)]
        self._delivered_ns = [np.empty(0, np.int64)]
        self._tables: list[pd.DataFrame] = []

    def take(self, events: np.ndarray) -> None:
        """Keep decisions and the time at which they got here."""
        self._delivered_ns.append(np.full(len(events), time.monotonic_ns()))
        self._taken.append(events)

    def forget(self) -> None:
        """Account for the decisions that were not sent, before the module's flows are forgotten."""
        taken, delivered_ns = np.concatenate(self._taken), np.concatenate(self._delivered_ns)
        self._tables.append(events.decisions_table(taken, delivered_ns, untold(self._module)))
        del self._taken[1:], self._delivered_ns[1:]

    def table(self) -> pd.DataFrame:
        """The decisions; true classes are not known here."""
        self.forget()
        return pd.concat(self._tables, ignore_index=True)


def untold(module: Module) -> dict[bytes, int]:
    """How many decisions on each flow have followed the last one that was sent (arms `-change`), by flow key."""
    if "EMIT_CHANGES" not in module.defines:
        return {}
    return {bytes(key): flow.untold for key, flow in module["flows"].items() if flow.told}
