"""The classifier in user space without Python on a packet's path: user.py's, in C (native.c).

With this arm, a comparison of kernel and user space does not measure Python instead. It reads the collector's ring in
place. It decides as user.py does, even when events overtake each other.
"""

from __future__ import annotations

import ctypes
import os
import select
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from upfml.base import layout, tables
from upfml.bpf import events
from upfml.bpf.module import Module
from upfml.bpf.ring import Pages, Ring
from upfml.classify import compiled
from upfml.classify.user import PATIENCE_NS
from upfml.packets.features import Definition, no_overflows

_SOURCE = Path(__file__).with_name("native.c")
_Lost = ctypes.CFUNCTYPE(ctypes.c_int64)


class _Native(ctypes.Structure):
    """struct native of native.c, as far as it is read here."""

    _fields_ = [
        ("classifier", compiled.Classifier),
        ("received", ctypes.c_uint64),
        ("overtook", ctypes.c_uint64),
    ]


_MIRRORS: layout.Mirrors = {"native": layout.Beginning(_Native), "ring": Pages}


class NativeClassifier:
    """From the collector's events to decisions, in C. It has the methods of UserClassifier."""

    event, schema = events.PACKET_EVENT, tables.DECISIONS

    def __init__(self, model: Path, definition: Definition, when: str, lost: Callable[[], int] = lambda: 0) -> None:
        """`model` is a folder written by convert.write; `when` window or packet.

        `lost` says how many events will never come; it is asked only when a packet has waited long for its predecessor.
        Raises UserError when the model has other features than windows, and when gcc is missing.
        """
        self.library = compiled.library(_SOURCE, model, definition, when, mirrors=_MIRRORS)
        self.library.native_open.argtypes = [ctypes.c_uint64, _Lost]
        self.library.native_open.restype = ctypes.POINTER(_Native)
        self.library.native_take.argtypes = [ctypes.POINTER(_Native), ctypes.c_void_p, ctypes.c_size_t]
        self.library.native_forget.argtypes = self.library.native_close.argtypes = [ctypes.POINTER(_Native)]
        self._lost = _Lost(lost)  # C calls it as long as this object lives
        self.native = self.library.native_open(PATIENCE_NS, self._lost)
        weakref.finalize(self, self.library.native_close, self.native)

    @property
    def received(self) -> int:
        """Events taken."""
        return int(self.native.contents.received)

    @property
    def counts(self) -> dict[str, int]:
        """As UserClassifier's."""
        native = self.native.contents
        return compiled.counts(native.classifier, *no_overflows()) | {"event_overtook": native.overtook}

    def take(self, events: np.ndarray) -> None:
        """Account for packets, and classify where a packet calls for it."""
        taken = np.ascontiguousarray(events)
        self.library.native_take(self.native, taken.ctypes.data, len(taken))

    def forget(self) -> None:
        """Forget all flows; packets that still wait for a predecessor wait no longer."""
        self.library.native_forget(self.native)

    def table(self) -> pd.DataFrame:
        """After the last event: the decisions; true classes are not known here."""
        self.forget()
        return compiled.table(self.library, self.native.contents.classifier)


class NativeRing:
    """Events by ring buffer to a NativeClassifier, which reads them where they lie."""

    def __init__(self, module: Module, table: str, classifier: NativeClassifier, delay_s: float) -> None:
        """`table` is the ring of a module; an event may wait `delay_s` for others, to be read with them."""
        self._classifier = classifier
        self._delay_ns = round(delay_s * 1e9)
        self._ring = Ring(module, table, events.PACKET_EVENT)
        self._poll = select.epoll()
        self._poll.register(self._ring, select.EPOLLIN)
        library, ring = classifier.library, ctypes.POINTER(Pages)
        library.native_drain.argtypes = [ctypes.POINTER(_Native), ring]
        library.native_wait.argtypes = [
            *(ctypes.POINTER(_Native), ring, ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64),
        ]

    @property
    def received(self) -> int:
        """Events taken."""
        return self._classifier.received

    def wait(self, timeout_s: float) -> None:
        """Take events as they come, for `timeout_s` or until a signal comes. Raises OSError when the ring is gone."""
        error = self._classifier.library.native_wait(
            self._classifier.native, self._ring.pages, self._poll.fileno(), round(timeout_s * 1e9), self._delay_ns
        )
        if error:
            raise OSError(error, os.strerror(error), "ring buffer")

    def drain(self) -> None:
        """Take what is there."""
        self._classifier.library.native_drain(self._classifier.native, self._ring.pages)
