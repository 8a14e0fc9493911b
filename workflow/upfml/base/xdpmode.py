"""The modes of XDP, and how numbers say in which of them they were measured."""

from __future__ import annotations

from collections.abc import Iterable

MODES = ("offload", "native", "generic")
"""By the device itself, by its driver, by the kernel behind it: in the order in which `auto` tries them."""
NONE = ""
"""In tables: no XDP program on a device. Replayed packets go through a program without one."""


def words(modes: Iterable[str]) -> str:
    """E.g. "XDP mode: native", of all modes that some numbers have in the order of MODES."""
    used = set(modes)
    return f"XDP mode: {' and '.join(mode for mode in MODES if mode in used) or 'none'}"
