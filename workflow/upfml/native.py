"""C beside the Python modules, for what must be fast: compiled by gcc when first used and when it has changed."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from upfml import tables
from upfml.errors import UserError

COMPILED = Path(__file__).parents[2] / ".cache" / "native"


def library(source: Path, *libraries: str) -> ctypes.CDLL:
    """The shared library made of `source`, linked with `libraries` (names as after gcc's -l), with errno kept for it.

    Two processes may compile it at once: each writes its own file and renames it. Raises UserError when gcc fails.
    """
    made = COMPILED / f"{source.stem}.so"
    written_ns = max(text.stat().st_mtime_ns for text in (source, *source.parent.glob("*.h")))
    if not made.exists() or made.stat().st_mtime_ns < written_ns:
        with tables.whole_file(made) as partial:
            command = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(partial)]
            command += [str(source), *(f"-l{name}" for name in libraries)]
            try:
                gcc = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError as error:
                raise UserError("gcc is not installed", "run `make setup`") from error
            if gcc.returncode:
                raise UserError(f"{source} does not compile: {gcc.stderr}", "run `make setup`")
    return ctypes.CDLL(str(made), use_errno=True)
