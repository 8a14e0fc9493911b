"""Compiled programs on their way to another kernel: BCC's code, and what its maps are.

BCC needs half a minute under emulation for each program, and what it makes does not depend on the kernel that runs
(guest.py compiles one there to see that). So the host compiles, and the guest makes maps alike and loads the same code.
"""

from __future__ import annotations

import base64
import ctypes
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from upfml.base import files
from upfml.bpf.module import SOURCES, Module, amalgamate
from upfml.bpf.syscall import create_map, look_up, map_info, update

_LOAD_64 = 0x18
"""The instruction that loads 64 bits; with source register 1 (BPF_PSEUDO_MAP_FD) a map, by its descriptor."""
_PSEUDO_MAP_FD = 1
_INSTRUCTION = struct.Struct("<BBhi")
_PER_CPU = (5, 6, 10)  # enum bpf_map_type: PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH
_OUTER = re.compile(r'^BPF_ARRAY_OF_MAPS\((?P<outer>\w+), "(?P<inner>\w+)"', re.M)


def write(module: Module, path: Path) -> None:
    """Write a compiled module to a JSON file: its defines, its maps by name, its programs' code by name."""
    maps: dict[str, dict[str, Any]] = {name: {"fd": fd, **map_info(fd)} for name, fd in module.maps().items()}
    inner = {
        match["outer"]: match["inner"] for match in _OUTER.finditer(amalgamate(SOURCES / module.source, module.include))
    }
    for name in maps:
        if name in inner:
            maps[name]["inner"] = inner[name]
    programs = {name: base64.b64encode(module.code(name)).decode() for name in module.functions()}
    files.write_json({"source": module.source, "defines": module.defines, "maps": maps, "programs": programs}, path)


def _with_maps(code: bytes, descriptor: Callable[[int], int]) -> bytes:
    """The same code with another descriptor for each map's."""
    changed = bytearray(code)
    for at in range(0, len(code), _INSTRUCTION.size):
        opcode, registers, offset, immediate = _INSTRUCTION.unpack_from(code, at)
        if opcode == _LOAD_64 and registers >> 4 == _PSEUDO_MAP_FD:
            _INSTRUCTION.pack_into(changed, at, opcode, registers, offset, descriptor(immediate))
    return bytes(changed)


def without_maps(code: bytes) -> bytes:
    """The same code with no descriptors of maps, to be compared."""
    return _with_maps(code, lambda _: 0)


class _Table:
    """A map, as much of it as Module and the engines ask of BCC's table objects."""

    Key = ctypes.c_int

    def __init__(self, descriptor: int, facts: dict[str, Any]) -> None:
        self.map_fd, self.max_entries = descriptor, facts["max_entries"]
        self._per_cpu = facts["type"] in _PER_CPU
        self.Leaf: Any = {4: ctypes.c_uint32, 8: ctypes.c_uint64}.get(facts["value_bytes"])

    def __getitem__(self, key: Any) -> Any:
        cpus = _possible_cpus() if self._per_cpu else 1
        # A per-CPU map gives each CPU's value at a multiple of 8 bytes.
        values = ((ctypes.c_uint64 if self._per_cpu else self.Leaf) * cpus)()
        look_up(self.map_fd, key, values)
        return list(values) if self._per_cpu else self.Leaf(values[0])

    def __setitem__(self, key: Any, value: Any) -> None:
        update(self.map_fd, key, value)


def _possible_cpus() -> int:
    last: str = re.split(r"[-,]", Path("/sys/devices/system/cpu/possible").read_text().strip())[-1]
    return int(last) + 1


class Carried(Module):
    """A module that another machine has compiled: its maps are made here, its programs loaded as any other's."""

    def __init__(self, path: Path) -> None:
        """From a file of `write`. Raises OSError when the kernel refuses a map."""
        carried = files.read_json(path)
        self.source, self.defines = carried["source"], carried["defines"]
        self._programs = {name: base64.b64decode(code) for name, code in carried["programs"].items()}
        self._tables: dict[str, _Table] = {}
        self._here: dict[int, int] = {}
        maps = carried["maps"]
        for name in sorted(maps, key=lambda name: "inner" in maps[name]):  # what is inside another comes first
            facts = maps[name]
            inside = self._tables[facts["inner"]].map_fd if "inner" in facts else 0
            try:
                made = create_map(
                    name, facts["type"], facts["key_bytes"], facts["value_bytes"], facts["max_entries"],
                    flags=facts["flags"], inner=inside,
                )  # fmt: skip
            except OSError as error:
                raise OSError(error.errno, f"map {name}: {os.strerror(error.errno or 0)}") from error
            self._tables[name], self._here[facts["fd"]] = _Table(made, facts), made

    def __getitem__(self, table: str) -> Any:
        return self._tables[table]

    def code(self, function: str) -> bytes:
        """As Module.code, with the maps of this kernel."""
        return _with_maps(self._programs[function], self._here.__getitem__)

    def functions(self) -> list[str]:
        """As Module.functions."""
        return list(self._programs)
