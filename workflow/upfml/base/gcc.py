"""C beside the Python, compiled by gcc on the machine that runs it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from upfml.base import tables
from upfml.base.cache import FOLDER, Cache
from upfml.base.errors import UserError

_INCLUDE = FOLDER / "include"
_CACHE = Cache(FOLDER / "gcc")
_COMMAND = ("gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra")


def kernel_includes() -> Path:
    """A folder that has <uapi/linux/...> as the kernel's sources do: for bpf/include in user space."""
    _INCLUDE.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (_INCLUDE / "uapi").symlink_to("/usr/include")
    return _INCLUDE


def build(source: Path, made: Path, *options: str) -> None:
    """Compile `source` to `made`, which appears whole or not at all. Raises UserError when gcc is missing or fails."""
    kept = _compiled(source, options)
    with tables.whole_file(made) as partial:
        shutil.copy(kept, partial)


def library(source: Path, *options: str) -> ctypes.CDLL:
    """The shared library made of a file of this package, with errno kept for it; `options` are gcc's, e.g. -lpcap."""
    return ctypes.CDLL(str(_compiled(source, ("-shared", "-fPIC", *options))), use_errno=True)


def _compiled(source: Path, options: Sequence[str]) -> Path:
    """What gcc makes of `source`, compiled anew when the text, a header, an option or gcc is another."""
    text = _run(source, "-E", "-P", *options)  # without the paths of what it includes
    # What a folder of headers adds to the code is in the text.
    flags = [option for option in options if not option.startswith("-I")]
    made_of = (text, _version(), platform.machine().encode(), *(flag.encode() for flag in (*_COMMAND, *flags)))

    def compile_to(path: Path) -> None:
        _run(source, "-o", str(path), *options)

    return _CACHE.file(made_of, compile_to)


def _run(source: Path, *options: str) -> bytes:
    try:
        # Libraries come after what uses them.
        gcc = subprocess.run([*_COMMAND, str(source), *options], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise UserError("gcc is not installed", "run `make setup`, or apt-get install gcc libc6-dev") from error
    if gcc.returncode:
        raise UserError(
            f"{source} does not compile:\n{gcc.stderr.decode(errors='replace')}", "run `make setup`, then again"
        )
    return gcc.stdout


@functools.cache
def _version() -> bytes:
    return subprocess.run(["gcc", "--version"], capture_output=True, check=True).stdout
