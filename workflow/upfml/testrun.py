"""Run an XDP program on given packets (BPF_PROG_TEST_RUN): the real program, the real kernel, no network.

One by one from Python, or in batches in C (testrun.c), with the program's events gathered in C, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from upfml import native
from upfml.bpf import Module, Program
from upfml.errors import UserError
from upfml.syscall import BPF_PROG_TEST_RUN, TestRunAttr, XdpMd, bpf

XDP_PASS = 2
FRAME_BYTES_MAX = 3_000
"""A test run takes a frame in one page, beside XDP's headroom (256 bytes), the frame's metadata (8) and the kernel's
skb_shared_info: 3,512 bytes with the usual 17 fragments in the latter, 3,064 with the most that it can have (45)."""

RECORD = np.dtype([("frame_bytes", "<u4"), ("reserved", "<u4"), ("t_ns", "<u8")])
"""What is before the frame in a record of a batch (batch.h). A record ends at a multiple of 8 bytes."""

SOURCE = Path(__file__).with_name("testrun.c")
_FRAME_BYTES = 4096
_PAGE_BYTES = 4096
_PERF_EVENT_BYTES = 8 + 4 + 7  # what a perf buffer holds beside an event: header, size, padding to 8 bytes
_NEVER_WAKE = 1 << 30


class TestRun:
    """Feeds frames to one program, each with its own arrival time in the XDP metadata (bpf/include/clock.h)."""

    __test__ = False  # not a test case of pytest's

    def __init__(self, program: Program) -> None:
        self._data = ctypes.create_string_buffer(_FRAME_BYTES)
        self._context = XdpMd(data=8)
        self._attr = TestRunAttr(
            prog_fd=program.fd,
            data_in=ctypes.addressof(self._data),
            ctx_in=ctypes.addressof(self._context),
            ctx_size_in=ctypes.sizeof(self._context),
        )

    def __call__(self, frame: bytes, t_ns: int = 0, *, times: int = 1) -> int:
        """Run `times` over on one Ethernet frame that arrived at `t_ns`: the program's verdict (XDP_PASS is 2).

        Raises OSError when the kernel refuses the frame, e.g. one shorter than an Ethernet header.
        """
        size = 8 + len(frame)
        struct.pack_into("<Q", self._data, 0, t_ns)
        ctypes.memmove(self._attr.data_in + 8, frame, len(frame))
        self._attr.data_size_in = size
        self._attr.data_size_out = 0  # the last call's size is in it, and would be this one's limit
        self._attr.repeat = times
        self._context.data_end = size
        result = bpf(BPF_PROG_TEST_RUN, self._attr)
        if result < 0:
            raise OSError(-result, os.strerror(-result), "BPF_PROG_TEST_RUN")
        return int(self._attr.retval)

    @property
    def duration_ns(self) -> int:
        """Of one run, as the kernel measured the last call; a mean over its `times`."""
        return int(self._attr.duration)

    def batch(self, batch: np.ndarray, records: int) -> None:
        """Run on the first `records` records (RECORD, frame) of a batch, in order; every verdict is XDP_PASS.

        Raises UserError when the kernel refuses a frame.
        """
        done = _library().testrun_batch(self._attr.prog_fd, batch.ctypes.data, records)
        if done != records:
            raise UserError(
                f"the kernel refuses a test run (record {done} of {records}): {os.strerror(ctypes.get_errno())}",
                "test runs with metadata need Linux 5.15 or newer; `snakemake provision` tries one",
            )


class _PerfBufferOptions(ctypes.Structure):
    """struct bcc_perf_buffer_opts of libbcc."""

    _fields_ = [("pid", ctypes.c_int), ("cpu", ctypes.c_int), ("wakeup_events", ctypes.c_int)]


class _Gathered(ctypes.Structure):
    """struct events of testrun.c."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("at", "event_bytes", "capacity", "gathered")]


class Events:
    """What a program that runs on one CPU sends into a perf buffer, gathered without a Python call for each event.

    To be emptied (`gather`) at least once in `burst` events: the buffer is large enough for those.
    """

    def __init__(self, module: Module, table: str, event: np.dtype, *, cpu: int, burst: int, capacity: int) -> None:
        """Open the perf buffer `table` for `cpu` alone; up to `capacity` events can be gathered and not yet taken."""
        self.received = 0
        self._rows = np.empty(capacity, event)
        self._gathered = _Gathered(self._rows.ctypes.data, event.itemsize, capacity, 0)
        pages = -(-burst * (event.itemsize + _PERF_EVENT_BYTES) // _PAGE_BYTES)
        self._bcc, own = _bcc(), _library()
        options = _PerfBufferOptions(-1, cpu, _NEVER_WAKE)  # nobody sleeps on it: a wake-up an event would cost 1 us
        self._reader = ctypes.c_void_p(
            self._bcc.bpf_open_perf_buffer_opts(
                own.testrun_event, own.testrun_lost, ctypes.byref(self._gathered), 1 << pages.bit_length(), options
            )
        )
        if not self._reader:
            raise RuntimeError(f"libbcc cannot open the perf buffer {table}")
        buffers = module[table]
        buffers[buffers.Key(cpu)] = buffers.Leaf(self._bcc.perf_reader_fd(self._reader))

    def gather(self) -> int:
        """Empty the perf buffer: how many events are there to be taken."""
        self._bcc.perf_reader_consume(1, ctypes.byref(self._reader))
        return int(self._gathered.gathered)

    def take(self) -> np.ndarray:
        """The events gathered since the last call, in order; valid until the next `gather`.

        Raises RuntimeError when there were more than the capacity.
        """
        count = self._gathered.gathered
        if count > len(self._rows):
            raise RuntimeError(f"{count} events gathered, room for {len(self._rows)}")
        self._gathered.gathered = 0
        self.received += count
        return self._rows[:count]

    def close(self) -> None:
        """Give the perf buffer back; the program's further events are lost."""
        self._bcc.perf_reader_free(self._reader)


@contextlib.contextmanager
def one_cpu() -> Iterator[int]:
    """Stay on the CPU that this thread is on, so that events of per-CPU perf buffers come in order of the packets."""
    before = os.sched_getaffinity(0)
    cpu = int(ctypes.CDLL(None).sched_getcpu())
    os.sched_setaffinity(0, {cpu})
    try:
        yield cpu
    finally:
        os.sched_setaffinity(0, before)


@cache
def _library() -> ctypes.CDLL:
    library = native.library(SOURCE)
    library.testrun_batch.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    library.testrun_batch.restype = ctypes.c_size_t
    return library


@cache
def _bcc() -> ctypes.CDLL:
    """The library under BCC's Python, which would call Python back for every event."""
    from bcc.libbcc import lib

    library = ctypes.CDLL(lib._name)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.bpf_open_perf_buffer_opts.argtypes = [pointer, pointer, pointer, number, ctypes.POINTER(_PerfBufferOptions)]
    library.bpf_open_perf_buffer_opts.restype = pointer
    library.perf_reader_fd.argtypes = [pointer]
    library.perf_reader_consume.argtypes = [number, ctypes.POINTER(pointer)]
    library.perf_reader_free.argtypes = [pointer]
    return library
