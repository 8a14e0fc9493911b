"""From the text of BPF programs to their code and what their maps are, by BCC; what was compiled once is kept.

BCC makes the maps while it compiles and writes their descriptors into the code. Here they are taken out again, so that
a compiled text can be kept on disk, or go to another kernel, and have its maps made there (maps.py).
"""

from __future__ import annotations

import atexit
import base64
import ctypes
import functools
import hashlib
import json
import os
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upfml.base.cache import FOLDER, Cache
from upfml.bpf import headers
from upfml.bpf.syscall import map_info

_CACHE = Cache(FOLDER / "bpf")
_LOAD_64 = 0x18
"""The instruction that loads 64 bits; with source register 1 (BPF_PSEUDO_MAP_FD) a map, by its descriptor."""
_PSEUDO_MAP_FD = 1
_INSTRUCTION = struct.Struct("<BBhi")
_OUTER = re.compile(r'^BPF_ARRAY_OF_MAPS\((?P<outer>\w+), "(?P<inner>\w+)"', re.M)
_LINE = re.compile(r"^#line .*$", re.M)


@dataclass(frozen=True)
class MapDescription:
    """What a map is made of, and the C types in it as BCC describes them (JSON)."""

    name: str
    type: int  # enum bpf_map_type
    key_bytes: int
    value_bytes: int
    max_entries: int
    flags: int
    key_type: str
    value_type: str
    inner: str | None  # the map that those in a map of maps are like


@dataclass(frozen=True)
class Compiled:
    """Programs' instructions by name; in these a map's number in `maps` stands where its descriptor will be."""

    maps: list[MapDescription]
    programs: dict[str, bytes]

    def to_json(self) -> dict[str, Any]:
        """For a JSON file."""
        programs = {name: base64.b64encode(code).decode() for name, code in self.programs.items()}
        return {"maps": [asdict(each) for each in self.maps], "programs": programs}

    @classmethod
    def of_json(cls, found: dict[str, Any]) -> Compiled:
        """What `to_json` was made of."""
        programs = {name: base64.b64decode(code) for name, code in found["programs"].items()}
        return cls([MapDescription(**each) for each in found["maps"]], programs)

    def code(self, program: str, descriptors: Sequence[int]) -> bytes:
        """The instructions of a program, for maps with these descriptors."""
        return _with_maps(self.programs[program], descriptors.__getitem__)


def compiled(text: str, flags: Sequence[str]) -> Compiled:
    """What BCC makes of a text: the kept one unless the text, a flag, BCC, the kernel or its headers are others.

    Raises what BCC raises, UserError when the kernel headers are missing.
    """

    def write(path: Path) -> None:
        content = json.dumps(compile_anew(text, flags).to_json()).encode()
        path.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)

    # The names of files, which include temporary ones, do nothing to the code.
    made_of = [_LINE.sub("#line", text), *flags, *_compiler()]
    kept = _CACHE.file((part.encode() for part in made_of), write)
    digest, _, content = kept.read_bytes().partition(b"\n")
    if digest.decode(errors="replace") == hashlib.sha256(content).hexdigest():
        return Compiled.of_json(json.loads(content))
    kept.unlink(missing_ok=True)  # damaged
    return compiled(text, flags)


@functools.cache
def _compiler() -> list[str]:
    """All that decides, beside the text and its flags, what BCC makes of it."""
    import bcc

    found = headers.find()
    kernel = os.uname()
    mapped = {line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line}
    libraries = [Path(path) for path in sorted(mapped) if re.search(r"/lib(bcc|bpf|LLVM|clang)[^/]*$", path.rstrip())]
    stats = [path.stat() for path in libraries]
    return [
        *(bcc.__version__, kernel.release, kernel.version, kernel.machine),
        *(str(found.path.resolve()), found.how),
        Path("/sys/devices/system/cpu/possible").read_text(),  # of how many entries perf buffers' maps are
        *(f"{path} {facts.st_size} {facts.st_mtime_ns}" for path, facts in zip(libraries, stats, strict=True)),
    ]


def compile_anew(text: str, flags: Sequence[str]) -> Compiled:
    """What BCC makes of a text. Raises what BCC raises, UserError when the kernel headers are missing."""
    import bcc

    os.environ.update(headers.find().environment)
    made = bcc.BPF(text=text.encode(), cflags=[*flags, "-Wno-macro-redefined"])
    try:
        return _taken_from(made, text)
    finally:
        atexit.unregister(made.cleanup)  # BCC would keep it until this process ends
        made.cleanup()


def _taken_from(made: Any, text: str) -> Compiled:
    import bcc

    library, module = bcc.lib, made.module
    # BCC's Python has no use for these two and does not declare them; ctypes would cut the pointer to 32 bits.
    library.bpf_num_tables.argtypes, library.bpf_num_tables.restype = [ctypes.c_void_p], ctypes.c_size_t
    library.bpf_table_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    library.bpf_table_name.restype = ctypes.c_char_p
    inner = {match["outer"]: match["inner"] for match in _OUTER.finditer(text)}
    maps, number_of = [], {}
    for number in range(library.bpf_num_tables(module)):
        name = library.bpf_table_name(module, number)
        fd = library.bpf_table_fd(module, name)
        number_of[fd] = number
        types = [(of(module, name) or b"").decode() for of in (library.bpf_table_key_desc, library.bpf_table_leaf_desc)]
        facts = map_info(fd)
        maps.append(
            MapDescription(
                name.decode(), **facts, key_type=types[0], value_type=types[1], inner=inner.get(name.decode())
            )
        )
    names = [library.bpf_function_name(module, number) for number in range(library.bpf_num_functions(module))]
    codes = {name.decode(): _with_maps(bytes(made.dump_func(name)), number_of.__getitem__) for name in names}
    return Compiled(maps, codes)


def _with_maps(code: bytes, number: Callable[[int], int]) -> bytes:
    """The same code with another number for each map's."""
    changed = bytearray(code)
    for at in range(0, len(code), _INSTRUCTION.size):
        opcode, registers, offset, immediate = _INSTRUCTION.unpack_from(code, at)
        if opcode == _LOAD_64 and registers >> 4 == _PSEUDO_MAP_FD:
            _INSTRUCTION.pack_into(changed, at, opcode, registers, offset, number(immediate))
    return bytes(changed)
