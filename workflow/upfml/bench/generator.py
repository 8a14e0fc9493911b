"""Packets at more than any UPF's rate: a test run with live frames, whose program redirects each frame to a device.

The kernel's own generator (BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18; Documentation/bpf/bpf_prog_run.rst). Frames come to
the other end of a veth as a network card's driver hands them to XDP: in pages with headroom, before there is an skb.
An skb from a packet socket has too little headroom: veth copies it for an XDP program, and only for one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from pyroute2 import netns

from upfml.bench import programs
from upfml.bpf import Module
from upfml.errors import UserError
from upfml.syscall import BPF_PROG_TEST_RUN, TestRunAttr, bpf
from upfml.testbed.host import Host, die_with_parent

_LIVE_FRAMES = 1 << 1  # BPF_F_TEST_XDP_LIVE_FRAMES
_FOR_EVER = 2**31 - 1  # frames of a test run, more than a turn can have


class Generator:
    """Sends frames from a host while `sending`: a process, there between __enter__ and __exit__."""

    def __init__(self, module: Module, host: Host, ifindex: int, frames: NDArray[np.uint8]) -> None:
        """`module` is bpf/live.bpf.c, compiled for `frames`, packets to send in turn, of shape (packets, bytes).

        `ifindex` is the device's, on `host`.
        """
        programs.fill(module["frames"], frames)
        generators = module["generators"]
        generators[generators.Key(0)] = generators.Leaf(ifindex, 0)
        self._host, self._frame_bytes = host, frames.shape[1]
        self._program = module.load("generate")
        self._pid: int | None = None

    def __enter__(self) -> Generator:
        """Start it, silent."""
        self._pid = os.fork()
        if not self._pid:
            self._send()
        self._wait_until_silent()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = None

    @property
    def pid(self) -> int:
        """The process, while it is there."""
        assert self._pid is not None
        return self._pid

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send for the length of the block. Raises UserError when the kernel cannot."""
        os.kill(self.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGSTOP)
            self._wait_until_silent()

    def _wait_until_silent(self) -> None:
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self._pid = None
            raise UserError(
                "this kernel sends no live frames from a test run, or refuses these", "boot Linux 5.18 or later"
            )

    def _send(self) -> NoReturn:
        """The forked process: stopped, or in the kernel. A signal ends a test run, so a stop takes effect at once."""
        try:
            die_with_parent()
            netns.setns(self._host.namespace)  # redirection looks for the device there
            frame = ctypes.create_string_buffer(self._frame_bytes)
            attr = TestRunAttr(
                prog_fd=self._program.fd,
                data_size_in=self._frame_bytes,
                data_in=ctypes.addressof(frame),
                repeat=_FOR_EVER,
                flags=_LIVE_FRAMES,
            )
            signal.raise_signal(signal.SIGSTOP)
            while bpf(BPF_PROG_TEST_RUN, attr) in (0, -errno.EINTR):
                pass
        finally:
            os._exit(1)
