"""Compiled programs on their way to another kernel.

BCC needs half a minute under emulation for each program, and what it makes does not depend on the kernel that runs
(guest.py compiles one there to see that). So the host compiles, and the guest makes maps alike and loads the same code.
"""

from __future__ import annotations

from pathlib import Path

from upfml.base import files
from upfml.bpf.compiler import Compiled
from upfml.bpf.module import Module


def write(module: Module, path: Path) -> None:
    """Write a compiled module to a JSON file."""
    files.write_json({"source": module.source, "defines": module.defines, "compiled": module.compiled.to_json()}, path)


class Carried(Module):
    """A module that another machine has compiled: its maps are made here, its programs loaded as any other's."""

    def __init__(self, path: Path) -> None:
        """From a file of `write`. Raises OSError when the kernel refuses a map."""
        carried = files.read_json(path)
        self._enter(carried["source"], carried["defines"], Compiled.of_json(carried["compiled"]))
