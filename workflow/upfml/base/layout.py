"""Structs that C and Python share: C text that compiles only where both have every member at the same place.

Python's side is a mirror: a numpy type or a ctypes structure with the members' names of C. Who compiles the C side puts
the assertions behind it (bpf/module.py for the kernel, gcc.py for user space), so no layout can differ unnoticed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np


class Beginning(NamedTuple):
    """Mirrors only the first members of a struct, which Python gets from C and never makes itself."""

    mirror: type[ctypes.Structure]


Mirror = np.dtype | type[ctypes.Structure]
Mirrors = Mapping[str, Mirror | Beginning]
"""Mirrors by the name of their struct in C."""


def assertions(mirrors: Mirrors) -> str:
    """C: offset and size of every member, of nested ones, too, and the size of each struct. It names what differs."""
    return "".join(line for struct, mirror in mirrors.items() for line in _of_struct(f"struct {struct}", mirror))


def _of_struct(struct: str, mirror: Mirror | Beginning) -> Iterator[str]:
    members = mirror.mirror if isinstance(mirror, Beginning) else mirror
    for member, offset, size in _members(members):
        yield _assertion(f"__builtin_offsetof({struct}, {member}) == {offset}", f"{struct}: {member} is elsewhere")
        yield _assertion(f"sizeof((({struct} *)0)->{member}) == {size}", f"{struct}: {member} has another size")
    if not isinstance(mirror, Beginning):
        size = mirror.itemsize if isinstance(mirror, np.dtype) else ctypes.sizeof(mirror)
        yield _assertion(f"sizeof({struct}) == {size}", f"{struct} has another size")


def _assertion(condition: str, difference: str) -> str:
    return f'_Static_assert({condition}, "{difference} in the mirror of Python");\n'


def _members(mirror: Mirror, before: str = "", at: int = 0) -> Iterator[tuple[str, int, int]]:
    """Each member's name in C, e.g. key.sport, its offset and its size, in bytes."""
    for name, kind, offset, size in _of_dtype(mirror) if isinstance(mirror, np.dtype) else _of_ctypes(mirror):
        yield f"{before}{name}", at + offset, size
        element = _element(kind)  # the first of an array tells of all
        if element.names if isinstance(element, np.dtype) else issubclass(element, ctypes.Structure):
            yield from _members(element, f"{before}{name}{'' if element is kind else '[0]'}.", at + offset)


def _element(kind: Any) -> Any:
    """What an array type is made of; any other type as it is."""
    if isinstance(kind, np.dtype):
        return kind.base if kind.subdtype else kind
    return kind._type_ if issubclass(kind, ctypes.Array) else kind


def _of_dtype(mirror: np.dtype) -> Iterator[tuple[str, np.dtype, int, int]]:
    for name, (kind, offset, *_) in (mirror.fields or {}).items():
        yield name, kind, offset, kind.itemsize


def _of_ctypes(mirror: type[ctypes.Structure]) -> Iterator[tuple[str, type, int, int]]:
    for name, kind, *_ in mirror._fields_:
        member = getattr(mirror, name)
        yield name, kind, member.offset, member.size
