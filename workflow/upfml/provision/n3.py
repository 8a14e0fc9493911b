"""Checks of the device that carries N3: whether it is there, and what XDP can do on it. They attach nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from upfml.bpf.xdpfeatures import BASIC
from upfml.provision.checkedhost import CheckedHost
from upfml.provision.finding import Finding, Verdict
from upfml.testbed.ssh.inventory import Machine

NATIVE_XDP_MTU_BYTES = 3498
"""About the most that drivers take: a page, less XDP's room, the Ethernet header and the kernel's part at the end."""

_OFF = {1: "xdpdrv", 2: "xdpgeneric", 3: "xdpoffload"}
"""XDP_ATTACHED_* of linux/if_link.h, as `ip link set` calls the modes."""


def device(host: CheckedHost, described: Machine) -> Iterator[Finding]:
    """Whether the device is there, up, and has an address."""
    links = _links(host)
    wanted = "up, with an IPv4 address"
    remedy = f"set testbed.machines.{described.role}.n3 to the device there that has the GTP-U tunnel's address"
    link = links.get(described.n3)
    if link is None:
        found = f"there is none; there are {', '.join(links) or 'none at all'}"
        yield host.finding(f"N3 {described.n3}", found, wanted, False, remedy)
        return
    addresses = [each["local"] for each in link["addr_info"] if each["family"] == "inet"]
    up = "UP" in link["flags"] and link["operstate"] in ("UP", "UNKNOWN")  # virtual devices do not know
    found = f"{'up' if up else 'down'}, {', '.join(addresses) or 'without an IPv4 address'}, MTU {link['mtu']}"
    if not up:
        remedy = f"run `ip link set dev {described.n3} up` there, and check what it is connected to"
    yield host.finding(f"N3 {described.n3}", found, wanted, up and bool(addresses), remedy)


def apart_from_ssh(host: CheckedHost, described: Machine, testbed: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether SSH uses another device than N3. If N3's rate is limited, the limit would slow SSH, too."""
    with_ssh = [
        name
        for name, link in _links(host).items()
        if {each["local"] for each in link["addr_info"]} & _addresses(described.address)
    ]
    limited = testbed["n3_rate_mbit_s"] is not None
    found = f"by {', '.join(with_ssh)}" if with_ssh else f"no device there has the address {described.address}"
    remedy = "give N3 a network of its own, or set testbed.n3_rate_mbit_s to null: the limit would slow SSH, too"
    ok = described.n3 not in with_ssh or not limited
    yield host.finding("SSH comes in", found, f"not by {described.n3}, if its rate is limited", ok, remedy, "warning")


def address_n6(host: CheckedHost, described: Machine) -> Iterator[Finding]:
    """Whether the data network has the address to which the UE's traffic goes."""
    there = {each["local"]: name for name, link in _links(host).items() for each in link["addr_info"]}
    ok = described.address_n6 in there
    found = f"on {there[described.address_n6]}" if ok else f"not there; there are {', '.join(there) or 'none'}"
    remedy = "set testbed.machines.dn.address_n6 to an address of that machine that the UPF can reach"
    yield host.finding(f"N6 {described.address_n6}", found, "an address of that machine", ok, remedy)


def mtu(host: CheckedHost, described: Machine) -> Iterator[Finding]:
    """Whether packets are small enough for native XDP."""
    link = _links(host).get(described.n3)
    if link is None:
        return  # `device` says so
    wanted = f"at most about {NATIVE_XDP_MTU_BYTES} for native XDP"
    remedy = f"run `ip link set dev {described.n3} mtu 1500` there; none, if generic XDP will do, which costs more"
    ok = link["mtu"] <= NATIVE_XDP_MTU_BYTES
    yield host.finding("N3's MTU", f"{link['mtu']} bytes", wanted, ok, remedy, "warning")


def unoccupied(host: CheckedHost, described: Machine) -> Iterator[Finding]:
    """Whether N3's device is free of XDP programs."""
    xdp = _links(host).get(described.n3, {}).get("xdp")
    if xdp is None:
        yield host.finding("XDP on N3", "none", "none", True, "")
        return
    programs = xdp.get("attached", [xdp])
    found = ", ".join(f"program {each['prog']['id']} ({_OFF.get(each['mode'], 'xdp')})" for each in programs)
    off = "`, `".join(f"ip link set dev {described.n3} {_OFF.get(each['mode'], 'xdp')} off" for each in programs)
    remedy = f"stop the program that attached it (see `bpftool prog show`), or detach it: `{off}`"
    yield host.finding("XDP on N3", found, "none", False, remedy)


def modes(host: CheckedHost, described: Machine, wanted_mode: str) -> Iterator[Finding]:
    """Which XDP modes the driver reports. `host` must be able to run this project's code."""
    done = host.run([host.python, "-m", "upfml.bpf.xdpfeatures", described.n3])
    remedy = "set testbed.xdp_mode to auto, which takes what works, or to generic; or use another network card"
    otherwise: Verdict = "warning" if wanted_mode in ("auto", "generic") else "failed"
    check, wanted = "XDP modes of N3's driver", "native"
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        yield host.finding(check, why, wanted, False, f"see testbed.machines.{described.role}.n3", "warning")
        return
    told = json.loads(done.stdout)
    if told["features"] is None:
        found = f"{told['driver']}: unknown until tried (Linux 6.3 and later tell)"
        yield host.finding(check, found, wanted, otherwise == "warning", remedy, "warning")
        return
    found = f"{told['driver']}: {', '.join(told['features']) or 'generic only'}"
    yield host.finding(check, found, wanted, BASIC in told["features"], remedy, otherwise)


def _links(host: CheckedHost) -> dict[str, dict[str, Any]]:
    """What `ip` says about every device, by name. Some versions of ip print `{}` for a device without addresses."""
    links = host.ask_json("ip", "-json", "-details", "address", "show") or []
    return {link["ifname"]: {"addr_info": [], **link} for link in links if "ifname" in link}


def _addresses(name: str) -> set[str]:
    """The addresses that a machine's name has here."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except OSError:
        return set()
