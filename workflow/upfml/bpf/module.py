"""Compile programs of bpf/ with BCC, load them into the kernel, and know why the verifier refused one.

BCC rewrites map operations in the main source only, so the quoted includes of a program are put into one text before
it sees them. Programs are loaded here rather than by BCC, which hides the verifier's message when a program is too
complex ("Program too large").
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upfml.base import layout
from upfml.base.errors import UserError
from upfml.bpf import events
from upfml.bpf.compiler import Compiled, compiled
from upfml.bpf.maps import Maps
from upfml.bpf.syscall import BPF_PROG_LOAD, ProgInfo, ProgLoadAttr, bpf, prog_info

SOURCES = Path(__file__).resolve().parents[3] / "bpf"
XDP, SCHED_CLS = 6, 3
"""Program types: enum bpf_prog_type of the kernel's uapi/linux/bpf.h."""

_INCLUDE = re.compile(r'^#include "(?P<name>[^"]+)"$', re.MULTILINE)
_LOG_BYTES = 16 << 20
_LOG_MESSAGES, _LOG_STATISTICS = 1, 4


class KernelRefused(UserError):
    """The kernel would not load or call a program; `reason` is mostly the verifier's last word."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(
            f"the kernel refuses {program}: {reason}",
            "a forest that is too large for other engines fits classify.engine: table; for what else a program needs "
            "of a kernel see `snakemake provision`",
        )
        self.reason = reason


@dataclass(frozen=True)
class Program:
    """A loaded program. The kernel drops it when `fd` is closed and nothing else holds it."""

    name: str
    fd: int
    instructions: int  # BPF instructions after verification
    jited_bytes: int
    verified_instructions: int  # that the verifier walked through
    time_in_front: bool = False  # replayed, it takes a packet's time from before the frame (clock.h: REPLAY_IN_FRONT)


def amalgamate(path: Path, include: Sequence[Path], _seen: set[Path] | None = None) -> str:
    """The text of a source file with each quoted include in its place, once.

    Raises UserError when an included file is nowhere.
    """
    seen = set() if _seen is None else _seen
    seen.add(path)
    text = path.read_text()
    pieces, line, position = [f'#line 1 "{path}"\n'], 1, 0
    for match in _INCLUDE.finditer(text):
        before = text[position : match.start()]
        line += before.count("\n") + 1
        position = match.end() + 1
        pieces.append(before)
        for folder in (path.parent, *include):
            found = (folder / match["name"]).resolve()
            if found.is_file():
                break
        else:
            raise UserError(f"{path} includes {match['name']}, which is in none of {include}", "restore the file")
        if found not in seen:
            pieces.append(amalgamate(found, include, seen))
        pieces.append(f'#line {line} "{path}"\n')
    return "".join([*pieces, text[position:]]).replace("#pragma once\n", "\n")


def text_and_flags(
    source: str, defines: Mapping[str, int | str | None], include: Sequence[Path] = ()
) -> tuple[str, list[str]]:
    """What the compiler gets of bpf/`source`. Raises UserError when an included file is nowhere."""
    flags = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in defines.items()]
    text = amalgamate(SOURCES / source, [SOURCES, *include])
    mirrored = {name: kind for name, kind in events.MIRRORS.items() if f"struct {name} {{" in text}
    return text + layout.assertions(mirrored), flags


def counter_names() -> list[str]:
    """The names of enum counter in bpf/include/counters.h, in order, in lower case."""
    return [
        name.lower() for name in re.findall(r"^\tCOUNTER_(\w+),", (SOURCES / "include/counters.h").read_text(), re.M)
    ]


class Module:
    """A compiled source file with its maps made; programs are loaded from it one by one."""

    def __init__(
        self,
        source: str,
        defines: Mapping[str, int | str | None] | None = None,
        include: Sequence[Path] = (),
    ) -> None:
        """Compile bpf/`source`. A define of None is defined empty; `include` holds generated headers.

        Raises UserError when BCC or the kernel headers are missing, or when the text does not compile.
        """
        constants = dict(defines or {})
        try:
            self._enter(source, constants, compiled(*text_and_flags(source, constants, include)))
        except UserError:
            raise
        except ImportError as error:
            raise UserError(f"BCC is not there: {error}", "run `make setup`") from error
        except Exception as error:  # BCC raises nothing narrower
            raise UserError(
                f"{source} does not compile or its maps cannot be made: {error}",
                "see the compiler's message above; root and a kernel with BPF are needed (`snakemake provision`)",
            ) from error

    def _enter(self, source: str, defines: Mapping[str, int | str | None], compiled: Compiled) -> None:
        """Make the maps. Raises OSError."""
        self.source, self.defines, self.compiled = source, defines, compiled
        self._maps = Maps(compiled.maps)

    def __getitem__(self, table: str) -> Any:
        """A map, as BCC's table object."""
        return self._maps[table]

    def functions(self) -> list[str]:
        """The names of its programs."""
        return list(self.compiled.programs)

    def code(self, function: str) -> bytes:
        """The instructions of a program, with the descriptors of its maps in them."""
        return self.compiled.code(function, self._maps.descriptors)

    def load(self, function: str, kind: int = XDP, ifindex: int = 0) -> Program:
        """Load a program, for the device `ifindex` to run if it is not 0. Raises KernelRefused with the reason."""
        text = self.code(function)
        code = ctypes.create_string_buffer(text, len(text))
        attr = ProgLoadAttr(
            prog_type=kind,
            insn_cnt=len(text) // 8,
            insns=ctypes.addressof(code),
            license=GPL_ADDRESS,
            prog_name=function.encode()[:15],
            prog_ifindex=ifindex,
        )
        # Statistics only: writing every step of a large program into the log is slow.
        fd = bpf(BPF_PROG_LOAD, attr)
        if fd < 0:
            log = ctypes.create_string_buffer(_LOG_BYTES)
            attr.log_level, attr.log_size, attr.log_buf = _LOG_MESSAGES, _LOG_BYTES, ctypes.addressof(log)
            fd = bpf(BPF_PROG_LOAD, attr)
            if fd < 0:
                raise KernelRefused(function, _last_word(log.value.decode(errors="replace"), -fd))
        info: ProgInfo = prog_info(fd)
        return Program(
            function,
            fd,
            info.xlated_prog_len // 8,
            info.jited_prog_len,
            info.verified_insns,
            "REPLAY_IN_FRONT" in self.defines,
        )

    def tail_call(self, table: str, slot: int, program: Program) -> None:
        """Put a program into a program array, where others find it to call."""
        self[table][ctypes.c_int(slot)] = ctypes.c_int(program.fd)

    def read_events(self, table: str, callback: Callable[[int, int, int], None], pages: int) -> None:
        """Have `poll` call back (cpu, address, bytes) for each event of a perf buffer of `pages` pages a CPU."""
        # Who finds no room is counted by the program; BCC would print it.
        self[table].open_perf_buffer(callback, page_cnt=pages, lost_cb=lambda _: None)

    def poll(self, timeout_ms: int) -> None:
        """Deliver the events that are there, waiting up to `timeout_ms` for the first."""
        self._maps.poll(timeout_ms)

    def counters(self) -> dict[str, int]:
        """The map `counters`, summed over the CPUs, by name."""
        table = self["counters"]
        return {name: sum(table[table.Key(i)]) for i, name in enumerate(counter_names())}

    def counted_by_cpu(self) -> list[int]:
        """The map `counters`, summed over the counters, by CPU: where the program ran."""
        table = self["counters"]
        return [sum(of_cpu) for of_cpu in zip(*(table[table.Key(i)] for i in range(len(counter_names()))), strict=True)]

    def flows_evicted(self) -> int:
        """Flows that made room for others in the LRU table `flows`: those that entered less those that are there."""
        return self.counters()["flow_new"] - sum(1 for _ in self["flows"])


def fill(table: Any, rows: NDArray[Any]) -> None:
    """Write rows, each as long as the map's value, to the entries 0, 1, … of an array map."""
    keys = (table.Key * len(rows))(*range(len(rows)))
    table.items_update_batch(keys, (table.Leaf * len(rows)).from_buffer_copy(np.ascontiguousarray(rows).tobytes()))


def _last_word(log: str, error: int) -> str:
    """The line of the verifier's log that says why, with the error's name."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("processed ", "verification time", "stack depth"))]
    statistics = [line for line in lines if line.startswith("processed ")]
    words = [telling[-1] if telling else os.strerror(error), *statistics]
    return "; ".join(words)


_GPL = ctypes.create_string_buffer(b"GPL")
GPL_ADDRESS = ctypes.addressof(_GPL)
