"""Run an XDP program on given packets (BPF_PROG_TEST_RUN): the real program, the real kernel, no network.

One by one from Python, or in batches in C (testrun.c).

A packet's own time is its XDP metadata. Test runs take metadata since Linux 5.15; before, it is the packet's first 8
bytes, which the program takes off (bpf/include/clock.h): the same bytes, without a context that says what they are.
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

from upfml.base import gcc
from upfml.base.errors import UserError
from upfml.bpf.module import GPL_ADDRESS, XDP, Program
from upfml.bpf.syscall import BPF_PROG_LOAD, BPF_PROG_TEST_RUN, ProgLoadAttr, TestRunAttr, XdpMd, bpf

XDP_PASS = 2
FRAME_BYTES_MAX = 3_000
"""A test run takes a frame in one page, beside XDP's headroom (256 bytes), the frame's metadata (8) and the kernel's
skb_shared_info: 3,512 bytes with the usual 17 fragments in the latter, 3,064 with the most that it can have (45)."""

RECORD = np.dtype([("frame_bytes", "<u4"), ("reserved", "<u4"), ("t_ns", "<u8")])
"""What is before the frame in a record of a batch (batch.h). A record ends at a multiple of 8 bytes."""

SOURCE = Path(__file__).with_name("testrun.c")
_FRAME_BYTES = 4096


_PASS = struct.pack("<BBhi", 0xB7, 0, 0, XDP_PASS) + struct.pack("<BBhi", 0x95, 0, 0, 0)
"""The program `r0 = XDP_PASS; exit`."""


@cache
def takes_metadata() -> bool:
    """Whether this kernel's test runs take metadata. Raises OSError when it loads no XDP program at all."""
    code = ctypes.create_string_buffer(_PASS, len(_PASS))
    program = bpf(BPF_PROG_LOAD, ProgLoadAttr(XDP, len(_PASS) // 8, ctypes.addressof(code), GPL_ADDRESS))
    if program < 0:
        raise OSError(-program, os.strerror(-program), "BPF_PROG_LOAD")
    try:
        TestRun(Program("pass", program, instructions=2, jited_bytes=0, verified_instructions=2))(bytes(64))
    except OSError:
        return False
    finally:
        os.close(program)
    return True


def replay_defines() -> dict[str, int | str | None]:
    """What a program is to be compiled with so that TestRun gives it each packet's own time, on this kernel."""
    return dict.fromkeys(["REPLAY_CLOCK"] if takes_metadata() else ["REPLAY_CLOCK", "REPLAY_IN_FRONT"])


class TestRun:
    """Feeds frames to one program, each with its own arrival time in the XDP metadata (bpf/include/clock.h)."""

    __test__ = False  # not a test case of pytest's

    def __init__(self, program: Program) -> None:
        self._data = ctypes.create_string_buffer(_FRAME_BYTES)
        self._context = XdpMd(data=8)
        self._attr = TestRunAttr(
            prog_fd=program.fd,
            data_in=ctypes.addressof(self._data),
        )
        self._in_front = program.time_in_front
        if not self._in_front:
            self._attr.ctx_in, self._attr.ctx_size_in = ctypes.addressof(self._context), ctypes.sizeof(self._context)

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
        done = _library().testrun_batch(self._attr.prog_fd, batch.ctypes.data, records, self._in_front)
        if done != records:
            raise UserError(
                f"the kernel refuses a test run (record {done} of {records}): {os.strerror(ctypes.get_errno())}",
                "see what is in that frame; `snakemake provision` tries a test run",
            )


@contextlib.contextmanager
def one_cpu() -> Iterator[int]:
    """Stay on the CPU that this thread is on: for timing, and so that flows come to the same LRU list as before."""
    before = os.sched_getaffinity(0)
    cpu = int(ctypes.CDLL(None).sched_getcpu())
    os.sched_setaffinity(0, {cpu})
    try:
        yield cpu
    finally:
        os.sched_setaffinity(0, before)


@cache
def _library() -> ctypes.CDLL:
    library = gcc.library(SOURCE, mirrors={"record": RECORD})
    library.testrun_batch.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.testrun_batch.restype = ctypes.c_size_t
    return library
