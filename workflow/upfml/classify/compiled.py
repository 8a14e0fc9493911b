"""The classifier in C (classifier.h), compiled for one model and one definition of windows, and its decisions.

The two arms without Python on a packet's path share it: native.py and afxdp.py.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pandas as pd

from upfml.base import gcc, layout, tables
from upfml.bpf import events, module
from upfml.classify import inputs
from upfml.packets.features import Definition

_DECISION = np.dtype([("event", events.DECISION_EVENT), ("t_sent_ns", "<u8")])
"""struct decision of classifier.h."""


class _Flows(ctypes.Structure):
    """struct flows of flows.h."""

    _fields_ = [("slots", ctypes.c_void_p), ("size", ctypes.c_size_t), ("count", ctypes.c_size_t)]


class Classifier(ctypes.Structure):
    """struct classifier of classifier.h."""

    _fields_ = [
        ("flows", _Flows),
        ("latest", ctypes.c_void_p),
        ("decided", ctypes.c_uint64),
        ("counters", ctypes.c_uint64 * len(module.counter_names())),
    ]


_MIRRORS: layout.Mirrors = {**events.MIRRORS, "decision": _DECISION, "classifier": Classifier}


def library(
    source: Path, model: Path, definition: Definition, when: str, *options: str, mirrors: layout.Mirrors
) -> ctypes.CDLL:
    """`source` (C that includes classifier.h), compiled with the model of a folder of convert.write.

    `when` is window or packet, `options` are gcc's, `mirrors` are of structs in `source`. Raises UserError when the
    model has other features than windows, and when gcc fails.
    """
    inputs.check(model)
    defines: dict[str, int | str | None] = {
        **definition.defines(),
        "MODEL_FEATURES": len(tables.FEATURES),
    }
    if when == "packet":
        defines["CLASSIFY_PACKETS"] = ""
    folders = [module.SOURCES, gcc.kernel_includes(), model]
    loaded = gcc.library(
        source,
        "-fno-semantic-interposition",  # calls of the model are direct, and may be inlined
        *(f"-D{name}={value}" for name, value in defines.items()),
        *(f"-I{path}" for path in folders),
        *options,
        mirrors={**_MIRRORS, **mirrors},
    )
    loaded.classifier_copy.argtypes = [ctypes.POINTER(Classifier), ctypes.c_void_p]
    loaded.classifier_copy.restype = None
    return loaded


def table(loaded: ctypes.CDLL, classifier: Classifier) -> pd.DataFrame:
    """All decisions so far, as rows of the decisions table, without true classes."""
    made = np.empty(classifier.decided, _DECISION)
    loaded.classifier_copy(classifier, made.ctypes.data)
    rows = events.decisions_table(made["event"], made["event"]["t_label_ns"])
    return rows.assign(t_sent_ns=made["t_sent_ns"].astype(np.int64))


def counts(classifier: Classifier, *names: str) -> dict[str, int]:
    """What it has counted, by the names of bpf/include/counters.h: those of `names`, or all."""
    found = dict(zip(module.counter_names(), classifier.counters, strict=True))
    return {name: found[name] for name in names or found}
