"""What a device's driver says that it can do with XDP, without anything being attached.

    python -m upfml.bpf.xdpfeatures DEVICE

It prints a JSON object: `driver`, and `features`, names of the kernel's generic netlink family `netdev` (Linux 6.3), or
null where the kernel does not tell.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink import NLM_F_REQUEST, genlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

BASIC = "basic"
"""Who has it runs programs in the driver: native XDP."""
FEATURES = (BASIC, "redirect", "ndo-xmit", "xsk-zerocopy", "hw-offload", "rx-sg", "ndo-xmit-sg")
"""Bits of enum netdev_xdp_act (linux/netdev.h), the lowest first."""
FAMILY = "netdev"
_DEV_GET, _VERSION = 1, 1


class _Device(genlmsg):  # type: ignore[misc]  # pyroute2 has no types
    """A message of the family `netdev` about a device."""

    prefix = "NETDEV_A_DEV_"
    nla_map = (
        ("NETDEV_A_DEV_UNSPEC", "none"),
        ("NETDEV_A_DEV_IFINDEX", "uint32"),
        ("NETDEV_A_DEV_PAD", "none"),
        ("NETDEV_A_DEV_XDP_FEATURES", "uint64"),
    )


def features(device: str) -> list[str] | None:
    """The driver's XDP features; None where the kernel does not tell them. Raises OSError without such a device."""
    message = _Device()
    message["cmd"], message["version"] = _DEV_GET, _VERSION
    message["attrs"] = [("NETDEV_A_DEV_IFINDEX", socket.if_nametoindex(device))]
    with GenericNetlinkSocket() as netdev:
        try:
            netdev.bind(FAMILY, _Device)
            answer = netdev.nlm_request(message, msg_type=netdev.prid, msg_flags=NLM_F_REQUEST)[0]
        except NetlinkError:  # the kernel has no such family
            return None
    bits = int(answer.get_attr("NETDEV_A_DEV_XDP_FEATURES") or 0)
    return [name for number, name in enumerate(FEATURES) if bits >> number & 1]


def driver(device: str) -> str:
    """The name of a device's driver, or of its kind where it is a virtual one."""
    link = Path(f"/sys/class/net/{device}/device/driver")
    if link.exists():
        return link.resolve().name
    with IPRoute() as ip:
        (found,) = ip.get_links(socket.if_nametoindex(device))
    kind = found.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    return str(kind or "unknown")


def main() -> None:
    """Print what a device can."""
    device = sys.argv[1]
    print(json.dumps({"driver": driver(device), "features": features(device)}))


if __name__ == "__main__":
    main()
