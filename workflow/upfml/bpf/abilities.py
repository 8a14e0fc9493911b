"""What this machine's kernel does when it is asked: each thing that the experiment needs of it, done once.

`python -m upfml.bpf.abilities` prints a JSON object, step -> {passed, tried, found}; provision starts it where XDP will
run. The devices live in a network namespace without a name, which goes with the process, also when that is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
from collections.abc import Callable
from typing import Any

from upfml.base.errors import UserError
from upfml.bpf import headers

_AF_XDP = 44  # linux/socket.h; Python has no name for it
_CLONE_NEWNET = 0x40000000
_DEVICE = "probe0"

_PROGRAMS = b"""
#include <uapi/linux/bpf.h>

BPF_ARRAY(packets, u64, 1);

int try_xdp(struct xdp_md *ctx)
{
	int zero = 0;
	u64 *count = packets.lookup(&zero);

	if (count)
		(*count)++;
	return XDP_PASS;
}

int try_tc(struct __sk_buff *skb)
{
	return 0; /* TC_ACT_OK */
}
"""


class Probe:
    """The steps; each returns what it found, or raises. A step may use what the steps that it needs have left."""

    def headers(self) -> str:
        """Kernel headers that BCC can compile against."""
        found = headers.find()
        os.environ.update(found.environment)
        return f"{found.path}: {found.how}"

    def bcc(self) -> str:
        """BCC compiles a program of each kind, makes a map, and the kernel's verifier lets both programs in."""
        import bcc

        self._bpf: Any = bcc.BPF(text=_PROGRAMS)
        self._xdp: Any = self._bpf.load_func(b"try_xdp", bcc.BPF.XDP)
        self._tc: Any = self._bpf.load_func(b"try_tc", bcc.BPF.SCHED_CLS)
        return f"BCC {bcc.__version__}: compiled and loaded"

    def jit(self) -> str:
        """The kernel translated the program into machine code."""
        from upfml.bpf.syscall import prog_info

        size = prog_info(self._xdp.fd).jited_prog_len
        if size == 0:
            raise RuntimeError("the program is interpreted")
        return f"{size} bytes of machine code"

    def test_run(self) -> str:
        """BPF_PROG_TEST_RUN with a packet's own time in its metadata, as the sweep and the kernel tests use it."""
        from upfml.bpf.module import Program
        from upfml.bpf.testrun import XDP_PASS, TestRun

        run = TestRun(Program("try_xdp", self._xdp.fd, instructions=0, jited_bytes=0, verified_instructions=0))
        verdict, count = run(bytes(64), t_ns=1), self._bpf[b"packets"][0].value
        if (verdict, count) != (XDP_PASS, 1):
            raise RuntimeError(f"verdict {verdict} and {count} packets counted instead of {XDP_PASS} and 1")
        return "a packet with metadata ran and was counted"

    def veth(self) -> str:
        """A pair of virtual Ethernet devices in a network namespace of this process's own."""
        from pyroute2 import IPRoute

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"no network namespace: {os.strerror(ctypes.get_errno())}")
        self._ip = IPRoute()
        self._ip.link("add", ifname=_DEVICE, kind="veth", peer="probe1")
        self._index = self._ip.link_lookup(ifname=_DEVICE)[0]
        return "a pair in a network namespace"

    def xdp_generic(self) -> str:
        """The hook that every device has runs the XDP program."""
        return self._attached("generic")

    def xdp_native(self) -> str:
        """The device's driver runs it."""
        return self._attached("native")

    def _attached(self, mode: str) -> str:
        from upfml.bpf.xdp import hold

        take_off = hold(self._xdp.fd, self._index, mode)
        take_off()
        return "attached to veth"

    def af_xdp(self) -> str:
        """A socket that takes packets out of the kernel, for the arm `afxdp`."""
        socket.socket(_AF_XDP, socket.SOCK_RAW).close()
        return "a socket"

    def tc_bpf(self) -> str:
        """A BPF program as a filter at the device's clsact egress, as bpf/upf.bpf.c is attached."""
        self._ip.tc("add", "clsact", self._index)
        self._ip.tc(
            "add-filter",
            "bpf",
            self._index,
            ":1",
            fd=self._tc.fd,
            name="try_tc",
            parent="ffff:fff3",  # clsact's egress (TC_H_MIN_EGRESS)
            classid=1,
            direct_action=True,
        )
        return "attached to veth's clsact"

    def tbf(self) -> str:
        """The queueing discipline that limits the rate of N3."""
        self._ip.tc("add", "tbf", self._index, 0x10000, rate="10mbit", burst=32768, latency="50ms")
        return "attached to veth"


STEPS: dict[str, tuple[Callable[[Probe], str], tuple[str, ...]]] = {
    "headers": (Probe.headers, ()),
    "bcc": (Probe.bcc, ("headers",)),
    "jit": (Probe.jit, ("bcc",)),
    "test_run": (Probe.test_run, ("bcc",)),
    "veth": (Probe.veth, ()),
    "xdp_generic": (Probe.xdp_generic, ("bcc", "veth")),
    "xdp_native": (Probe.xdp_native, ("bcc", "veth")),
    "af_xdp": (Probe.af_xdp, ()),
    "tc_bpf": (Probe.tc_bpf, ("bcc", "veth")),
    "tbf": (Probe.tbf, ("veth",)),
}
"""The steps in order, each with those that it needs."""


def results() -> dict[str, dict[str, Any]]:
    """Try every step: its results."""
    probe = Probe()
    found_of: dict[str, dict[str, Any]] = {}
    for name, (step, needs) in STEPS.items():
        missing = [need for need in needs if not found_of[need]["passed"]]
        if missing:
            found_of[name] = {"passed": False, "tried": False, "found": f"not tried without {' and '.join(missing)}"}
            continue
        try:
            passed, found = True, step(probe)
        except Exception as error:  # whatever it is, it is this step's result
            passed, found = False, error.cause if isinstance(error, UserError) else str(error) or type(error).__name__
        found_of[name] = {"passed": passed, "tried": True, "found": found}
    return found_of


def main() -> None:
    """Print the results."""
    print(json.dumps(results()))


if __name__ == "__main__":
    main()
