"""Run an XDP program on given packets (BPF_PROG_TEST_RUN): the real program, the real kernel, no network."""

from __future__ import annotations

import ctypes
import os
import struct

from upfml.bpf import Program
from upfml.syscall import BPF_PROG_TEST_RUN, TestRunAttr, XdpMd, bpf

XDP_PASS = 2
_FRAME_BYTES = 4096


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
            repeat=1,
        )

    def __call__(self, frame: bytes, t_ns: int = 0) -> int:
        """Run on one Ethernet frame that arrived at `t_ns`: the program's verdict (XDP_PASS is 2).

        Raises OSError when the kernel refuses the frame, e.g. one shorter than an Ethernet header.
        """
        size = 8 + len(frame)
        struct.pack_into("<Q", self._data, 0, t_ns)
        ctypes.memmove(self._attr.data_in + 8, frame, len(frame))
        self._attr.data_size_in = size
        self._attr.data_size_out = 0  # the last call's size is in it, and would be this one's limit
        self._context.data_end = size
        result = bpf(BPF_PROG_TEST_RUN, self._attr)
        if result < 0:
            raise OSError(-result, os.strerror(-result), "BPF_PROG_TEST_RUN")
        return int(self._attr.retval)
