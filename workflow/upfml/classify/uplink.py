"""Where uplink packets go after decapsulation, for a user plane in user space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Uplink:
    """From N3's tunnels to N6."""

    device: str  # N6
    next_hop: str  # IPv4 address
    teids: Sequence[int]  # of the sessions that are established; packets of others are dropped
