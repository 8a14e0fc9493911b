"""Read a BPF ring buffer (BPF_MAP_TYPE_RINGBUF, Linux 5.8) many events at a time, into numpy.

BCC calls Python back for each event; here ring.c copies all that are there into one array. Unlike perf buffers there is
one for all CPUs, in the order in which the programs reserved their events.
"""

from __future__ import annotations

import ctypes
import mmap
from functools import cache
from pathlib import Path

import numpy as np

from upfml.base import gcc
from upfml.bpf.module import Module

_SOURCE = Path(__file__).with_name("ring.c")


class Pages(ctypes.Structure):
    """struct ring of ring.h."""

    _fields_ = [
        ("consumer", ctypes.c_void_p),
        ("producer", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("event_bytes", ctypes.c_uint64),
    ]


class Ring:
    """The ring buffer `table` of a module, whose events are all of one type; `pages` is it for C."""

    def __init__(self, module: Module, table: str, event: np.dtype) -> None:
        """Map its pages; they go with this object."""
        ring = module[table]
        self._fd = int(ring.map_fd)
        size = int(ring.max_entries)
        # Its pages: the consumer's position, then, read only, the producer's, then the data twice in a row.
        self._ours = mmap.mmap(self._fd, mmap.PAGESIZE)
        self._kernels = mmap.mmap(self._fd, mmap.PAGESIZE + 2 * size, prot=mmap.PROT_READ, offset=mmap.PAGESIZE)
        ours, kernels = (np.frombuffer(pages, np.uint8).ctypes.data for pages in (self._ours, self._kernels))
        self.pages = Pages(ours, kernels, kernels + mmap.PAGESIZE, size, event.itemsize)
        self._room = np.empty(size // event.itemsize, event)

    def fileno(self) -> int:
        """To wait on: readable when there are events."""
        return self._fd

    def take(self) -> np.ndarray:
        """The events that are there, shape (n,), in order."""
        taken = _library().ring_take(ctypes.byref(self.pages), self._room.ctypes.data, len(self._room))
        return self._room[:taken].copy()


@cache
def _library() -> ctypes.CDLL:
    library = gcc.library(_SOURCE, mirrors={"ring": Pages})
    library.ring_take.argtypes = [ctypes.POINTER(Pages), ctypes.c_void_p, ctypes.c_uint64]
    library.ring_take.restype = ctypes.c_uint64
    return library
