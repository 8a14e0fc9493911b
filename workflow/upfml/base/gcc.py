"""C beside the Python, compiled by gcc on the machine that runs it."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import subprocess
from pathlib import Path

from upfml.base import files, layout
from upfml.base.errors import UserError
from upfml.base.layout import Mirrors

_PACKAGE = Path(__file__).parents[1]
COMPILED = _PACKAGE.parents[1] / ".cache" / "gcc"
NO_MIRRORS: Mirrors = {}


def kernel_includes() -> Path:
    """A folder that has <uapi/linux/...> as the kernel's sources do: for bpf/include in user space."""
    made = COMPILED / "include"
    made.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (made / "uapi").symlink_to("/usr/include")
    return made


def build(source: Path, made: Path, *options: str, mirrors: Mirrors = NO_MIRRORS) -> None:
    """Compile `source` to `made`, which appears whole or not at all; `mirrors` are Python's of structs in it.

    Raises UserError when gcc is missing or fails, also when a struct differs from its mirror.
    """
    text = f'#include "{source.resolve()}"\n' + layout.assertions(mirrors)
    with files.whole_file(made) as partial:
        command = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", str(partial)]
        command += ["-x", "c", "-", "-x", "none", *options]
        try:
            gcc = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise UserError("gcc is not installed", "run `make setup`, or apt-get install gcc libc6-dev") from error
        if gcc.returncode:
            raise UserError(f"{source} does not compile:\n{gcc.stderr}", "run `make setup`, then again")


def library(source: Path, *options: str, mirrors: Mirrors = NO_MIRRORS) -> ctypes.CDLL:
    """The shared library made of a file of this package, with errno kept for it; `options` are gcc's, e.g. -lpcap.

    Compiled when first used, and again when it, a header or one of `mirrors` has changed. Two processes may do so at
    once. Raises UserError as `build`.
    """
    layouts = hashlib.sha256(layout.assertions(mirrors).encode()).hexdigest()
    made = COMPILED / f"{source.stem}-{layouts[:12]}.so"
    written_ns = max(text.stat().st_mtime_ns for text in (source, *_PACKAGE.glob("**/*.h")))
    if not made.exists() or made.stat().st_mtime_ns < written_ns:
        build(source, made, "-shared", "-fPIC", *options, mirrors=mirrors)
    return ctypes.CDLL(str(made), use_errno=True)
