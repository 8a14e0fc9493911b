"""Mirrors of C structs: a member that is elsewhere in C is refused, by the struct's and the member's name."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from upfml.base import gcc, layout
from upfml.base.errors import UserError

PLACE = np.dtype([("x", "<u4"), ("y", "<u4")])
PACKET = np.dtype([("place", PLACE), ("t_ns", "<u8"), ("rows", PLACE, (2,))])


class Place(ctypes.Structure):
    _fields_ = [("x", ctypes.c_uint32), ("y", ctypes.c_uint32)]


class Packet(ctypes.Structure):
    _fields_ = [("place", Place), ("t_ns", ctypes.c_uint64), ("rows", Place * 2)]


class PacketBegins(ctypes.Structure):
    _fields_ = [("place", Place)]


PLACE_IN_C = "struct place { uint32_t x, y; };"
PACKET_IN_C = "struct packet { struct place place; uint64_t t_ns; struct place rows[2]; };"


def refusal(tmp_path: Path, text: str, mirror: layout.Mirror | layout.Beginning) -> str:
    """What gcc says of C against a mirror; empty when it compiles."""
    source = tmp_path / "packet.c"
    source.write_text(f"#include <stdint.h>\n{text}\n")
    try:
        gcc.build(source, tmp_path / "packet.so", "-shared", "-fPIC", mirrors={"packet": mirror})
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("mirror", [PACKET, Packet, layout.Beginning(PacketBegins)])
def test_the_same_layout_compiles(tmp_path: Path, mirror: layout.Mirror | layout.Beginning) -> None:
    assert refusal(tmp_path, PLACE_IN_C + PACKET_IN_C, mirror) == ""


@pytest.mark.parametrize("mirror", [PACKET, Packet])
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("x, y;", "y, x;", "struct packet: place.x is elsewhere"),
        ("x, y;", "y, x;", "struct packet: place.y is elsewhere"),
        ("x, y;", "y, x;", "struct packet: rows[0].x is elsewhere"),
        (
            "struct place place; uint64_t t_ns;",
            "uint64_t t_ns; struct place place;",
            "struct packet: t_ns is elsewhere",
        ),
        ("uint64_t t_ns;", "uint32_t t_ns __attribute__((aligned(8)));", "struct packet: t_ns has another size"),
        ("rows[2];", "rows[2]; uint64_t more;", "struct packet has another size"),
    ],
)
def test_a_difference_is_refused_by_name(
    tmp_path: Path, before: str, after: str, said: str, mirror: layout.Mirror
) -> None:
    assert f"{said} in the mirror of Python" in refusal(
        tmp_path, (PLACE_IN_C + PACKET_IN_C).replace(before, after), mirror
    )


def test_a_beginning_may_be_followed_by_more_but_not_moved(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path, PLACE_IN_C + PACKET_IN_C.replace("rows[2]", "rows[9]"), layout.Beginning(PacketBegins)) == ""
    )
    moved = PACKET_IN_C.replace("{ struct place place; uint64_t t_ns;", "{ uint64_t t_ns; struct place place;")
    assert "struct packet: place is elsewhere" in refusal(tmp_path, PLACE_IN_C + moved, layout.Beginning(PacketBegins))


def test_a_library_is_compiled_again_for_another_mirror(tmp_path: Path) -> None:
    """What was compiled for an earlier layout is not loaded for another."""
    source = tmp_path / "packet.c"
    source.write_text(f"#include <stdint.h>\n{PLACE_IN_C + PACKET_IN_C}\n")
    gcc.library(source, mirrors={"packet": Packet})
    with pytest.raises(UserError, match=r"struct packet has another size"):
        gcc.library(source, mirrors={"packet": Place})
