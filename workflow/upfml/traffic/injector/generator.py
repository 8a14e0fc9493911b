"""Packets at any rate: a test run with live frames, whose program redirects frames to a device.

The kernel's own generator (BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18; Documentation/bpf/bpf_prog_run.rst). Frames come to
the other end of a veth as a network card's driver hands them to XDP: in pages with headroom, before there is an skb.
An skb from a packet socket has too little headroom: veth copies it for an XDP program, and only for one.

Either as fast as it can, or by a schedule (schedule.py). Then the program looks at the clock at every frame that the
kernel offers it, and drops those for which it is too early: it keeps a CPU busy, as generators do that poll, and each
packet leaves within microseconds of its time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NoReturn, Self

from pyroute2 import netns

from upfml.base.errors import UserError
from upfml.bpf.module import fill
from upfml.bpf.syscall import BPF_PROG_TEST_RUN, TestRunAttr, bpf
from upfml.testbed.host import LocalHost, die_with_parent
from upfml.traffic.injector.bed import InjectorBed
from upfml.traffic.injector.schedule import Schedule

_LIVE_FRAMES = 1 << 1  # BPF_F_TEST_XDP_LIVE_FRAMES
_FOR_EVER = 2**31 - 1
"""Frames of a test run. By a schedule, most of them are dropped; then the next run takes over."""


class Generator:
    """Sends frames from a host while `sending`, as fast as it can: a process, there between __enter__ and __exit__."""

    _program_name = "generate"

    def __init__(self, bed: InjectorBed, host: LocalHost) -> None:
        """The bed's packets, in turn; `host` is its RAN."""
        fill(bed.module["frames"], bed.packets)
        generators = bed.module["generators"]
        generators[generators.Key(0)] = generators.Leaf(bed.n3_ifindex, 0)
        self._host, self._frame_bytes = host, bed.packets.shape[1]
        self._program = bed.module.load(self._program_name)
        self._pid: int | None = None

    def __enter__(self) -> Self:
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


class ScheduledGenerator(Generator):
    """Sends frames by a schedule; what it is too late for, it gives up."""

    _program_name = "generate_by_schedule"

    def __init__(self, bed: InjectorBed, host: LocalHost) -> None:
        """As Generator's; nothing is sent before `plan`."""
        super().__init__(bed, host)
        self._schedules = bed.module["schedules"]

    def plan(self, schedule: Schedule) -> None:
        """What `sending` is to send, once; of flows that the bed has packets of. To be called while silent."""
        self._schedules[self._schedules.Key(0)] = self._schedules.Leaf(
            interval_ns=schedule.interval_ns,
            flows=schedule.flows,
            packets=schedule.packets,
            stagger=schedule.stagger,
            rounds=schedule.rounds,
        )

    def sent(self) -> int:
        """Packets of the plan that have been sent; those that are missing when its time is over were given up."""
        return int(self._schedules[self._schedules.Key(0)].sent)

    def finished(self) -> bool:
        """Whether the plan's time is over."""
        schedule = self._schedules[self._schedules.Key(0)]
        return bool(schedule.round >= schedule.rounds)
