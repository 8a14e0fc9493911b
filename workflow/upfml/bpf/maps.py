"""The maps of a compiled text, made in this kernel, as BCC's table objects."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Sequence
from typing import Any

from upfml.bpf.compiler import MapDescription
from upfml.bpf.syscall import create_map, unlock_memory

_CLASSES = {
    1: "HashTable",
    2: "Array",
    3: "ProgArray",
    4: "PerfEventArray",
    5: "PerCpuHash",
    6: "PerCpuArray",
    9: "LruHash",
    10: "LruPerCpuHash",
    12: "MapInMapArray",
    13: "MapInMapHash",
    17: "XskMap",
    27: "RingBuf",
}
"""BCC's classes by enum bpf_map_type."""


class Maps:
    """The maps by name. They are there until this process ends, or longer if something holds them."""

    # What BCC's tables ask of the module that they belong to; of its compiler they need nothing (see _table).
    module = None
    Function = type(None)

    def __init__(self, descriptions: Sequence[MapDescription]) -> None:
        """Make them. Raises OSError when the kernel refuses one."""
        unlock_memory()
        self.perf_buffers: dict[Any, Any] = {}
        self._described = {each.name: each for each in descriptions}
        self._fds: dict[str, int] = {}
        for each in sorted(descriptions, key=lambda each: each.inner is not None):  # what is inside another comes first
            try:
                self._fds[each.name] = create_map(
                    each.name, each.type, each.key_bytes, each.value_bytes, each.max_entries,
                    flags=each.flags, inner=self._fds[each.inner] if each.inner else 0,
                )  # fmt: skip
            except OSError as error:
                raise OSError(error.errno, f"map {each.name}: {os.strerror(error.errno or 0)}") from error
        self.descriptors = [self._fds[each.name] for each in descriptions]
        """In the order of the descriptions."""
        self._tables: dict[str, Any] = {}
        atexit.register(self._tables.clear)  # they free perf buffers by BCC's library, which goes after that

    def __getitem__(self, name: str) -> Any:
        if name not in self._tables:
            self._tables[name] = self._table(self._described[name])
        return self._tables[name]

    def _table(self, described: MapDescription) -> Any:
        from bcc import BPF, table

        types = [BPF._decode_table_type(json.loads(text)) for text in (described.key_type, described.value_type)]
        made_by = getattr(table, _CLASSES[described.type])
        made = made_by(self, 0, self._fds[described.name], *types, name=described.name.encode())
        # These three it would have from the compiler.
        made.ttype, made.flags, made.max_entries = described.type, described.flags, described.max_entries
        return made

    def poll(self, timeout_ms: int) -> None:
        """Deliver what is in perf buffers, waiting up to `timeout_ms` for the first event."""
        from bcc import BPF

        BPF.perf_buffer_poll(self, timeout_ms)
