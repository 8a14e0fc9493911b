"""Checks of the 5G network: processes of the core and of UERANSIM, gtp5g, and probes through the PDU session's tunnel.

Only the session is necessary. Another product may take the place of everything else, so its absence is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from upfml.base.errors import UserError
from upfml.provision.checkedhost import CheckedHost
from upfml.provision.finding import Finding
from upfml.testbed.bed import Bed
from upfml.testbed.tap import tapped

UERANSIM = {"UERANSIM": ("nr-gnb", "nr-ue")}
CORES = {
    "free5GC": ("amf", "smf", "upf"),
    "Open5GS": ("open5gs-amfd", "open5gs-smfd", "open5gs-upfd"),
}
"""Processes of each product, as `ps -o comm` names them."""

GTP_DEVICES = ("upfgtp", "ogstun")
"""Names of the UPF's device: free5GC's for gtp5g, and Open5GS's for its tun. Some set-ups add a number."""
_GTP_KINDS = ("gtp", "gtp5g")
_KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 5, (sys.argv[2], 0))
except ConnectionRefusedError:
    pass  # the UE answers that nobody listens there
"""
_NO_NEED = "none, if another program does its work; otherwise "


def processes(host: CheckedHost, products: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Which processes of these products run. All processes of one product are wanted."""
    running = set((host.ask("ps", "-e", "-o", "comm=") or "").split("\n"))
    seen = {name: [each for each in of_it if each in running] for name, of_it in products.items()}
    ok = any(list(of_it) == seen[name] for name, of_it in products.items())
    found = "; ".join(f"{name}: {', '.join(there)}" for name, there in seen.items() if there) or "none"
    wanted = ", or ".join(" and ".join(of_it) for of_it in products.values())
    remedy = f"{_NO_NEED}start it (docs/real-testbed.md)"
    yield host.finding(f"{' or '.join(products)} runs", found, wanted, ok, remedy, "warning")


def gtp5g(host: CheckedHost) -> Iterator[Finding]:
    """Whether free5GC's kernel module is loaded, and which version."""
    loaded = host.ask("cat", "/sys/module/gtp5g/version")
    there = loaded or host.ask("modinfo", "--field", "version", "gtp5g")
    state = "loaded" if loaded else "not loaded"
    found = f"{there}, {state}" if there else "not installed"
    remedy = f"{_NO_NEED}install it and run `modprobe gtp5g`: free5GC's UPF forwards through it"
    yield host.finding("gtp5g", found, "loaded", loaded is not None, remedy, "warning")


def sctp(host: CheckedHost) -> Iterator[Finding]:
    """Whether the kernel has SCTP, which gNB and AMF speak on N2."""
    there = host.run(["test", "-d", "/proc/net/sctp"]).returncode == 0
    remedy = f"{_NO_NEED}run `modprobe sctp`: gNB and AMF speak it"
    yield host.finding("SCTP", "there" if there else "not loaded", "there", there, remedy, "warning")


def gtp_device(host: CheckedHost) -> Iterator[Finding]:
    """The UPF's end of the tunnels."""
    links = [link for link in host.ask_json("ip", "-json", "-details", "link", "show") or [] if "ifname" in link]
    found = [
        link["ifname"]
        for link in links
        if link["ifname"].startswith(GTP_DEVICES) or link.get("linkinfo", {}).get("info_kind") in _GTP_KINDS
    ]
    instead = f"none; there are {', '.join(link['ifname'] for link in links) or 'no devices'}"
    wanted = " or ".join(GTP_DEVICES)
    remedy = f"{_NO_NEED}start the UPF, which creates this device"
    yield host.finding("UPF's GTP device", ", ".join(found) or instead, wanted, bool(found), remedy, "warning")


def session(host: CheckedHost, entering: Callable[[], AbstractContextManager[Bed]]) -> Iterator[Finding]:
    """Whether the UE's packets go through a PDU session's tunnel and arrive on N3 as GTP-U.

    Entering the test bed finds that out, as it does in every run.
    """
    wanted = "the UE's packets arrive on N3 as GTP-U"
    try:
        with entering() as bed:
            teids = ", ".join(f"{teid:#x}" for teid in bed.uplink.teids)
            yield host.finding("UE's address", bed.ue_address, "", True, "")
            yield host.finding("PDU session", f"TEID {teids} on {bed.n3_device}", wanted, True, "")
            way = f"{bed.dn_address} via {bed.uplink.device}, next hop {bed.uplink.next_hop}"
            yield host.finding("UPF's way to N6", way, "", True, "")
            yield ping(host, bed)
            yield knock(host, bed)
    except UserError as error:
        yield host.finding("PDU session", error.cause, wanted, False, error.remedy)


def ping(host: CheckedHost, bed: Bed) -> Finding:
    """Whether the data network answers the UE's pings, and N3 carries them as GTP-U."""
    with TemporaryDirectory() as work, tapped(bed.upf, bed.n3_device, bed.ue_address, Path(work, "tap.log")) as seen:
        done = bed.ran.run(
            ["ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "2", "-I", bed.ue_address, bed.dn_address]
        )
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
    sent, answered = map(int, counts.groups()) if counts else (0, 0)
    fastest = re.search(r"= ([\d.]+)/", done.stdout)
    on_n3 = seen.get("inner_no_ports", 0)  # the parser's word for what is neither TCP nor UDP
    found = f"{answered} of {sent} answered" + (f", the fastest after {fastest[1]} ms" if fastest else "")
    found = f"{found}; {on_n3} of its packets seen in GTP-U on N3" if counts else " ".join(done.stderr.split())[-200:]
    ok = 0 < sent == answered and on_n3 >= sent
    remedy = (
        "let the data network answer pings; or see whether TCP works in the test of the test bed (results/testbed.json)"
    )
    return host.finding("ping through the tunnel", found, "answered, and in GTP-U on N3", ok, remedy, "warning")


def knock(host: CheckedHost, bed: Bed) -> Finding:
    """Whether the data network can open connections to the UE, which serves the video. NAT on the UPF would hide it."""
    done = bed.dn.run([bed.dn.python, "-c", _KNOCK, bed.ue_address, bed.dn_address])
    why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    found = f"{bed.ue_address} answers {bed.dn_address}" if done.returncode == 0 else why
    remedy = (
        f"on dn, run `ip route add {bed.ue_address} via` the UPF's address on N6; on the UPF, turn forwarding on"
        " (`sysctl net.ipv4.ip_forward=1`), and remove any NAT or firewall between N6 and the UE"
    )
    return host.finding("data network reaches the UE", found, "an answer", done.returncode == 0, remedy)
