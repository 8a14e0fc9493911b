"""Put an XDP program on a device: in which mode, what is left alone, and how it comes off again.

A program is attached by a BPF link (Linux 5.9), which the kernel takes off the device when its descriptor is closed,
also when the process that holds it is killed. Older kernels know netlink only: there a program stays after SIGKILL
until the device goes or somebody takes it off, and the next attach says which program it is.
"""

from __future__ import annotations

import errno
import functools
import os
import platform
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from upfml.base import xdpmode
from upfml.base.errors import UserError
from upfml.bpf import syscall
from upfml.bpf.module import KernelRefused, Module, Program

AUTO = "auto"

_FLAGS = {"offload": 1 << 3, "native": 1 << 2, "generic": 1 << 1}
"""XDP_FLAGS_HW_MODE, _DRV_MODE and _SKB_MODE of linux/if_link.h."""
_OF_MODE = {"offload": "IFLA_XDP_HW_PROG_ID", "native": "IFLA_XDP_DRV_PROG_ID", "generic": "IFLA_XDP_SKB_PROG_ID"}
_OFF = {"offload": "xdpoffload", "native": "xdpdrv", "generic": "xdpgeneric"}
"""What `ip link set` calls the modes."""
_UPDATE_IF_NOEXIST = 1 << 0
_OCCUPIED = (errno.EBUSY, errno.EEXIST)
"""The kernel's answers where a program is in the same mode, in another one, or on a device above."""


@dataclass(frozen=True)
class Attachment:
    """A program on a device, until `detach` is called."""

    mode: str
    """One of xdpmode.MODES."""
    detach: Callable[[], None]


def attach(module: Module, program: Program, device: str, wanted: str) -> Attachment:
    """Attach a program of `module` to a device of this network namespace; `wanted` is one of xdpmode.MODES, or AUTO.

    AUTO takes the first mode that device and kernel can do. Raises UserError with every mode's reason when none can be
    had, and when a program is there already: that one is left alone, whatever its mode.
    """
    try:
        index = socket.if_nametoindex(device)
    except OSError as error:
        raise UserError(f"there is no device {device} here", "see testbed in config.yaml") from error
    _check_free(device, index)
    reasons = []
    for mode in xdpmode.MODES if wanted == AUTO else [wanted]:
        try:
            return Attachment(mode, _attach(module, program, index, mode))
        except KernelRefused as error:
            reasons.append(f"{mode}: {error.reason}")
        except OSError as error:
            if error.errno in _OCCUPIED:
                _check_free(device, index)  # somebody was faster
                raise UserError(
                    f"{device} has another XDP program, which the kernel does not name ({mode}: {error.strerror})",
                    "see `bpftool net`: it may be on a device above, a bond or a bridge",
                ) from error
            reasons.append(f"{mode}: {error.strerror}")
    raise UserError(
        f"cannot attach {program.name} to {device}: {'; '.join(reasons)}",
        "testbed.xdp_mode: auto takes any mode that works; for native mode many drivers want an MTU below 3500 bytes",
    )


def occupants(index: int) -> dict[str, int]:
    """The ids of the programs on a device (its index), by mode."""
    with IPRoute() as ip:
        attributes = ip.get_links(index)[0].get("IFLA_XDP")
    ids = {mode: attributes.get(name) for mode, name in _OF_MODE.items()}
    return {mode: int(number) for mode, number in ids.items() if number}


def _check_free(device: str, index: int) -> None:
    for mode, number in occupants(index).items():
        raise UserError(
            f"{device} already has an XDP program, which this run leaves alone: id {number}, "
            f"{syscall.prog_name(number) or 'without a name'}, {mode} mode",
            f"stop the program that put it there (`bpftool link` and `bpftool prog show id {number}` tell more), "
            f"or take it off: `ip link set dev {device} {_OFF[mode]} off`",
        )


def _attach(module: Module, program: Program, index: int, mode: str) -> Callable[[], None]:
    """Attach in one mode: what takes the program off. Raises KernelRefused and OSError.

    Offload takes a program of its own, loaded for the device, and so do its maps. Those of this project are the host's,
    so that devices refuse today; it is they who say so.
    """
    if mode != "offload":
        return hold(program.fd, index, mode)
    own = module.load(program.name, ifindex=index)
    try:
        return hold(own.fd, index, mode)
    finally:
        os.close(own.fd)  # the device holds it


def hold(program: int, index: int, mode: str) -> Callable[[], None]:
    """Attach a program (its descriptor) to a device (its index) in one mode: what takes it off. Raises OSError."""
    if _has_links():
        link = syscall.create_link(program, index, syscall.BPF_XDP, _FLAGS[mode])
        return functools.partial(os.close, link)
    number = syscall.prog_info(program).id
    _by_netlink(index, program, _FLAGS[mode] | _UPDATE_IF_NOEXIST)
    return functools.partial(_take_off, index, mode, number)


def _take_off(index: int, mode: str, number: int) -> None:
    """Take the program of this id off, unless another is there by now."""
    if occupants(index).get(mode) == number:
        _by_netlink(index, -1, _FLAGS[mode])


def _by_netlink(index: int, fd: int, flags: int) -> None:
    with IPRoute(ext_ack=True) as ip:
        try:
            ip.link("set", index=index, xdp={"attrs": [("IFLA_XDP_FD", fd), ("IFLA_XDP_FLAGS", flags)]})
        except NetlinkError as error:
            raise OSError(error.code, error.args[1]) from error


def _has_links() -> bool:
    """By the kernel's version: BPF_LINK_CREATE answers EINVAL where it has no XDP links, and to much else."""
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    return version is not None and (int(version[1]), int(version[2])) >= (5, 9)
