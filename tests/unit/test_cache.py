"""What is kept of a compiler's work, and when it is made anew."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from upfml.base import cache, gcc
from upfml.base.errors import UserError


def made(kept: cache.Cache, *parts: bytes, size: int = 1) -> tuple[Path, bool]:
    """The file of these parts, and whether it was made just now."""
    calls = []

    def make(path: Path) -> None:
        calls.append(path)
        path.write_bytes(bytes(size))

    return kept.file(parts, make), bool(calls)


def test_a_file_is_made_once_for_its_parts(tmp_path: Path) -> None:
    kept = cache.Cache(tmp_path)
    first, new = made(kept, b"text", b"flag")
    assert new
    assert made(kept, b"text", b"flag") == (first, False)
    for others in ((b"text", b"other"), (b"textflag",), (b"textf", b"lag"), (b"flag", b"text")):
        assert made(kept, *others)[1]


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    kept = cache.Cache(tmp_path, most_bytes=250)
    for age, name in ((30, b"a"), (20, b"b")):
        path, _ = made(kept, name, size=100)
        os.utime(path, (time.time() - age,) * 2)
    made(kept, b"a", size=100)
    made(kept, b"c", size=100)
    assert [made(kept, name, size=100)[1] for name in (b"a", b"c", b"b")] == [False, False, True]
    assert made(kept, b"too large", size=1_000)[0].exists()


def test_what_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise ValueError

    with pytest.raises(ValueError):
        cache.Cache(tmp_path).file([b"text"], fail)
    assert list(tmp_path.iterdir()) == []


def test_processes_that_make_the_same_at_once_get_it_whole(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from upfml.base.cache import Cache

def make(path):
    with path.open("wb", buffering=0) as out:
        for byte in b"whole":
            time.sleep(0.02)
            out.write(bytes([byte]))

print(Cache(Path({str(tmp_path)!r})).file([b"text"], make).read_text(), end="")
"""
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [b"whole"] * 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in C with a header, and a cache for what is made of it."""
    monkeypatch.setattr(gcc, "_CACHE", cache.Cache(tmp_path / "cache"))
    (tmp_path / "value.h").write_text("#define VALUE 1\n")
    source = tmp_path / "value.c"
    source.write_text('#include "value.h"\nint value(void)\n{\n\treturn VALUE * FACTOR;\n}\n')
    return source


def _kept(folder: Path) -> int:
    return len(list((folder / "cache").glob("*")))


def test_a_library_follows_its_headers_and_options(source: Path, tmp_path: Path) -> None:
    assert gcc.library(source, "-DFACTOR=10").value() == 10
    assert gcc.library(source, "-DFACTOR=20").value() == 20
    (tmp_path / "value.h").write_text("#define VALUE 2\n")
    assert gcc.library(source, "-DFACTOR=10").value() == 20
    assert _kept(tmp_path) == 3
    os.utime(source)
    gcc.library(source, "-DFACTOR=10")
    assert _kept(tmp_path) == 3


def test_the_same_text_in_another_folder_is_not_compiled_again(source: Path, tmp_path: Path) -> None:
    gcc.build(source, tmp_path / "one", "-shared", "-fPIC", "-DFACTOR=1", f"-I{tmp_path}")
    other = tmp_path / "other"
    other.mkdir()
    for path in (source, tmp_path / "value.h"):
        path.rename(other / path.name)
    gcc.build(other / "value.c", tmp_path / "two", "-shared", "-fPIC", "-DFACTOR=1", f"-I{other}")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert _kept(tmp_path) == 1


def test_what_does_not_compile_is_said_and_not_kept(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="FACTOR"):
        gcc.library(source)
    assert _kept(tmp_path) == 0
