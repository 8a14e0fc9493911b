"""How events get from the programs in the kernel (bpf/include/delivery.h) to who reads them.

By a ring buffer, which is read as a whole: the reader is woken when an event comes into an empty one, waits until more
have come if it may, and takes what is there. Or by perf buffers, one for each CPU, as in the paper: a wake-up an event.
"""

from __future__ import annotations

import ctypes
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from upfml.bpf.module import Module
from upfml.bpf.ring import Ring

_PAGES = {"ring": 256, "perf": 64}
"""1 MiB for all CPUs, and 256 KiB for each, of which BCC's own default is an eighth."""


class Reader(Protocol):
    """Takes events."""

    @property
    def event(self) -> np.dtype:
        """Their type (events.py)."""

    def take(self, events: np.ndarray) -> None:
        """Take some, shape (n,), n > 0; a perf buffer's are in order by CPU only."""


@dataclass(frozen=True)
class Dropper:
    """A reader that drops what it takes."""

    event: np.dtype

    def take(self, events: np.ndarray) -> None:
        """Drop them."""


@dataclass(frozen=True)
class Delivery:
    """`by` ring or perf; `delay_ms` is how long an event may wait in a ring for others, to be read with them."""

    by: str = "ring"
    delay_ms: float = 0.0
    pages: int = _PAGES["ring"]  # of the ring, or of each CPU's perf buffer; a power of two

    @classmethod
    def of(cls, by: str, delay_ms: float = 0.0) -> Delivery:
        """With buffers of the usual size. `by` as arms have it: ring, perf, or batched, by which alone events wait."""
        if by == "batched":
            return cls("ring", delay_ms, _PAGES["ring"])
        return cls(by, pages=_PAGES[by])

    def defines(self) -> dict[str, int | str | None]:
        """The same for the C side."""
        return {"RING_PAGES": self.pages} if self.by == "ring" else {}

    def open(self, module: Module, readers: Mapping[str, Reader]) -> Rings | PerfBuffers:
        """Begin to deliver; `readers` by the name of their buffer."""
        if self.by == "ring":
            return Rings(module, readers, self.delay_ms / 1e3)
        return PerfBuffers(module, readers, self.pages)


READ_AT_ONCE = Delivery()
"""The default."""


class Rings:
    """Events by ring buffers."""

    received = 0
    """Events that the readers have taken."""

    def __init__(self, module: Module, readers: Mapping[str, Reader], delay_s: float) -> None:
        self._delay_s = delay_s
        self._rings = [(Ring(module, table, reader.event), reader) for table, reader in readers.items()]
        self._poll = select.epoll()
        for ring, _ in self._rings:
            self._poll.register(ring, select.EPOLLIN)

    def wait(self, timeout_s: float) -> None:
        """Deliver what is there, after waiting up to `timeout_s` for the first event."""
        if self._poll.poll(timeout_s):
            if self._delay_s:  # to sleep for no time at all takes time, too
                time.sleep(self._delay_s)
            self.drain()

    def drain(self) -> None:
        """Deliver what is there."""
        for ring, reader in self._rings:
            events = ring.take()
            if len(events):
                self.received += len(events)
                reader.take(events)


class PerfBuffers:
    """Events by perf buffers, each of which wakes the reader."""

    received = 0
    """Events that the readers have taken."""

    def __init__(self, module: Module, readers: Mapping[str, Reader], pages: int) -> None:
        self._module = module
        self._raw = [(_open(module, table, reader.event.itemsize, pages), reader) for table, reader in readers.items()]

    def wait(self, timeout_s: float) -> None:
        """Deliver what is there, after waiting up to `timeout_s` for the first event."""
        self._module.poll(round(timeout_s * 1e3))
        for raw, reader in self._raw:
            if raw:
                events = np.frombuffer(bytes(raw), reader.event)
                raw.clear()
                self.received += len(events)
                reader.take(events)

    def drain(self) -> None:
        """Deliver what is there."""
        self.wait(0)


def _open(module: Module, table: str, event_bytes: int, pages: int) -> bytearray:
    """Where the events of a perf buffer gather while the module polls."""
    raw = bytearray()

    def event(_cpu: int, data: int, _size: int) -> None:
        raw.extend(ctypes.string_at(data, event_bytes))

    module.read_events(table, event, pages)
    return raw
