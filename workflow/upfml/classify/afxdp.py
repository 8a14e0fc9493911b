"""A user plane in user space that classifies: AF_XDP, no Python on a packet's path (bpf/afxdp.bpf.c, afxdp.c).

It works like a kernel-bypass UPF. AF_XDP takes uplink packets away from the kernel, so user space classifies them,
decapsulates them and forwards them. The downlink stays with the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
import weakref
from pathlib import Path
from typing import Any

import pandas as pd
from pyroute2 import IPRoute

from upfml.base import layout, tables
from upfml.base.errors import UserError
from upfml.bpf.module import Module
from upfml.classify import compiled
from upfml.classify.uplink import Uplink
from upfml.packets.features import Definition

_SOURCE = Path(__file__).with_name("afxdp.c")
_NTF_USE = 1 << 0  # linux/neighbour.h: have the kernel resolve it
_RESOLVED = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80  # NUD_REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT
_PATIENCE_S = 3.0
_PAUSE_S = 0.01
_REMEDY = "it needs a kernel with CONFIG_XDP_SOCKETS, and the devices to itself; leave afxdp out of `arms` where not"


_FATES = ("forwarded", "unknown_teid", "not_ipv4", "malformed", "ttl_expired")
"""Of packets, as counters of struct afxdp."""


class _Afxdp(ctypes.Structure):
    """struct afxdp of afxdp.c, as far as it is read here."""

    _fields_ = [
        ("classifier", compiled.Classifier),
        ("received", ctypes.c_uint64),
        *((name, ctypes.c_uint64) for name in _FATES),
    ]


class AfXdp:
    """The user plane's uplink, from N3 to N6, with its classifier."""

    schema = tables.DECISIONS

    def __init__(self, model: Path, definition: Definition, when: str, uplink: Uplink) -> None:
        """`model` is a folder written by convert.write; `when` window or packet.

        Raises UserError when the model has other features than windows, and when gcc or libxdp are missing.
        """
        self.module = Module("afxdp.bpf.c", {"STAMP_STEPS": None})
        self.program = self.module.load("redirect")
        self._uplink = uplink
        self._c = compiled.library(
            _SOURCE, model, definition, when, "-lxdp", "-lbpf", mirrors={"afxdp": layout.Beginning(_Afxdp)}
        )
        state = ctypes.POINTER(_Afxdp)
        self._c.afxdp_new.argtypes = [ctypes.POINTER(ctypes.c_uint32), ctypes.c_size_t]
        self._c.afxdp_new.restype = state
        self._c.afxdp_open.argtypes = [state, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
        self._c.afxdp_wait.argtypes = [state, ctypes.c_uint64]
        self._c.afxdp_dropped.argtypes = [state, ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_uint64)]
        teids = (ctypes.c_uint32 * len(uplink.teids))(*uplink.teids)
        self._afxdp = self._c.afxdp_new(teids, len(teids))
        weakref.finalize(self, self._c.afxdp_free, self._afxdp)

    @property
    def received(self) -> int:
        """Packets taken."""
        return int(self._afxdp.contents.received)

    @property
    def counts(self) -> dict[str, int]:
        """What became of the packets: counters of bpf/include/counters.h, then of forwarding, then of the sockets."""
        state, dropped, full = self._afxdp.contents, ctypes.c_uint64(), ctypes.c_uint64()
        self._c.afxdp_dropped(self._afxdp, dropped, full)
        own = {name: int(getattr(state, name)) for name in _FATES}
        return compiled.counts(state.classifier) | own | {"rx_dropped": dropped.value, "rx_ring_full": full.value}

    def open(self, n3_device: str) -> None:
        """Open the sockets. From now on, packets that the program redirects on N3 come here, and leave through N6.

        Waits for a socket that somebody has just closed: the kernel takes its time. Raises UserError when a device is
        another socket's, or cannot do it, and when the next hop does not answer.
        """
        n6 = self._uplink.device
        with IPRoute() as ip:
            addresses = _mac(ip, n6, self._uplink.next_hop) + _own_mac(ip, n6)
        arguments = n3_device.encode(), n6.encode(), addresses, self.module["sockets"].map_fd
        deadline = time.monotonic() + _PATIENCE_S
        while (error := -self._c.afxdp_open(self._afxdp, *arguments)) == errno.EBUSY and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
        if error:
            raise UserError(f"no AF_XDP sockets on {n3_device} and {n6}: {os.strerror(error)}", _REMEDY)

    def close(self) -> None:
        """Close the sockets. From now on the kernel forwards these packets. Flows and decisions stay."""
        self._c.afxdp_close(self._afxdp)

    def wait(self, timeout_s: float) -> None:
        """Take packets as they come, for `timeout_s` or until a signal comes. Raises OSError when N6 cannot send."""
        _check(self._c.afxdp_wait(self._afxdp, round(timeout_s * 1e9)))

    def drain(self) -> None:
        """Take what is there. Raises OSError likewise."""
        _check(self._c.afxdp_drain(self._afxdp))

    def forget(self) -> None:
        """Forget all flows."""
        self._c.afxdp_forget(self._afxdp)

    def table(self) -> pd.DataFrame:
        """The decisions; true classes are not known here."""
        return compiled.table(self._c, self._afxdp.contents.classifier)


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error), "AF_XDP")


def _link(ip: IPRoute, device: str) -> Any:
    found = ip.get_links(ifname=device)
    if not found:
        raise UserError(f"there is no device {device} here", "see testbed in config.yaml")
    return found[0]


def _own_mac(ip: IPRoute, device: str) -> bytes:
    return _bytes(_link(ip, device).get("address"))


def _mac(ip: IPRoute, device: str, address: str) -> bytes:
    """The neighbour's address, resolved by the kernel. Raises UserError when the neighbour does not answer."""
    index = _link(ip, device)["index"]
    ip.neigh("replace", dst=address, ifindex=index, flags=_NTF_USE, state="none")
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for neighbour in ip.get_neighbours(ifindex=index, dst=address):
            if neighbour["state"] & _RESOLVED:
                return _bytes(neighbour.get("lladdr"))
        time.sleep(_PAUSE_S)
    raise UserError(f"the next hop {address} on {device} does not answer", "check that the data network's host is up")


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
