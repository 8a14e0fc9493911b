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

from upfml.base import files, layout
from upfml.base.cache import FOLDER, Cache
from upfml.base.errors import UserError
from upfml.base.layout import Mirrors

NO_MIRRORS: Mirrors = {}
_INCLUDE = FOLDER / "include"
_CACHE = Cache(FOLDER / "gcc")
_COMMAND = ("gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra")


def kernel_includes() -> Path:
    """A folder that has <uapi/linux/...> as the kernel's sources do: for bpf/include in user space."""
    _INCLUDE.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (_INCLUDE / "uapi").symlink_to("/usr/include")
    return _INCLUDE


def build(source: Path, made: Path, *options: str, mirrors: Mirrors = NO_MIRRORS) -> None:
    """Compile `source` to `made`, which appears whole or not at all; `mirrors` are Python's of structs in it.

    Raises UserError when gcc is missing or fails, also when a struct differs from its mirror.
    """
    kept = _compiled(source, options, mirrors)
    with files.whole_file(made) as partial:
        shutil.copy(kept, partial)


def library(source: Path, *options: str, mirrors: Mirrors = NO_MIRRORS) -> ctypes.CDLL:
    """The shared library made of a file of this package, with errno kept for it; `options` are gcc's, e.g. -lpcap.

    Raises UserError as `build`.
    """
    return ctypes.CDLL(str(_compiled(source, ("-shared", "-fPIC", *options), mirrors)), use_errno=True)


def _compiled(source: Path, options: Sequence[str], mirrors: Mirrors) -> Path:
    """What gcc makes of `source`; compiled anew if the text, a header, a mirror, an option or gcc has changed."""
    text = f'#include "{source.resolve()}"\n' + layout.assertions(mirrors)
    preprocessed = _run(source, text, "-E", "-P", *options)  # without the paths of what it includes
    # What a folder of headers adds to the code is in the text.
    flags = [option for option in options if not option.startswith("-I")]
    made_of = (preprocessed, _version(), platform.machine().encode(), *(flag.encode() for flag in (*_COMMAND, *flags)))

    def compile_to(path: Path) -> None:
        _run(source, text, "-o", str(path), *options)

    return _CACHE.file(made_of, compile_to)


def _run(source: Path, text: str, *options: str) -> bytes:
    """What gcc prints when it compiles a text that includes `source`."""
    command = [*_COMMAND, "-x", "c", "-", "-x", "none", *options]  # libraries come after what uses them
    try:
        gcc = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    except FileNotFoundError as error:
        raise UserError("gcc is not installed", "run `make setup`, or apt-get install gcc libc6-dev") from error
    if gcc.returncode:
        reason = gcc.stderr.decode(errors="replace")
        raise UserError(f"{source} does not compile:\n{reason}", "run `make setup`, then again")
    return gcc.stdout


@functools.cache
def _version() -> bytes:
    return subprocess.run(["gcc", "--version"], capture_output=True, check=True).stdout
