"""A text that BCC has compiled before is the same program, and whatever changes it has it compiled anew."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.forests import converted, noisy_forest

from upfml.base.cache import Cache
from upfml.base.errors import UserError
from upfml.bpf import compiler, module
from upfml.bpf.compiler import Compiled, compile_anew, compiled
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import Module, text_and_flags
from upfml.classify import kernel
from upfml.classify.collector import collector
from upfml.packets.features import Definition

DEFINITION = Definition(500_000_000, 1_000)
INJECTOR = "injector.bpf.c", {"FRAMES": 1, "FRAME_BYTES": 120}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cache that is empty."""
    monkeypatch.setattr(compiler, "_CACHE", Cache(tmp_path / "cache"))
    return tmp_path / "cache"


def files(kept: Path) -> int:
    return len(list(kept.glob("*")))


@pytest.mark.parametrize("program", ["injector", "upf", "afxdp", "collect", "inline", "table", "tailcall"])
def test_a_kept_program_is_the_compilers_to_the_byte(program: str, kept: Path, tmp_path: Path) -> None:
    if program in ("inline", "table", "tailcall"):
        model = converted(noisy_forest(trees=3, depth=4), tmp_path / "model", engine=program)

        def make() -> Module:
            return kernel.compiled(model, DEFINITION, "window", FlowTable())
    else:

        def make() -> Module:
            plain = {
                "injector": INJECTOR,
                "upf": ("upf.bpf.c", {"N3_IFINDEX": 1, "GNB_UE_IFINDEX": 1}),
                "afxdp": ("afxdp.bpf.c", {"STAMP_STEPS": None}),
            }
            return Module(*plain[program]) if program in plain else collector(FlowTable())

    first = make()
    assert files(kept) == 1
    again = make()
    assert files(kept) == 1
    include = [tmp_path / "model"]
    anew = compile_anew(*text_and_flags(first.source, first.defines, include))
    assert first.compiled == again.compiled == anew
    for name in first.functions():
        loaded = [made.load(name, module.XDP) for made in (first, again)] if program not in ("injector", "upf") else []
        assert len({(each.instructions, each.jited_bytes) for each in loaded}) <= 1


def test_a_define_or_a_header_that_changes_is_compiled_anew(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Module(*INJECTOR)
    other = Module("injector.bpf.c", {"FRAMES": 2, "FRAME_BYTES": 120})
    assert files(kept) == 2
    entries = {made["frames"].max_entries for made in (before, other)}
    assert entries == {1, 2}
    collected = collector(FlowTable())
    assert files(kept) == 3
    sources = Path(shutil.copytree(module.SOURCES, tmp_path / "bpf"))
    monkeypatch.setattr(module, "SOURCES", sources)
    assert collector(FlowTable()).compiled == collected.compiled
    assert files(kept) == 3  # the same text in another folder
    header = sources / "include/flow.h"
    header.write_text(header.read_text() + "/* another */\n")
    collector(FlowTable())
    assert files(kept) == 4


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_file_is_made_anew(kept: Path, damage: str) -> None:
    first = Module(*INJECTOR)
    (path,) = kept.iterdir()
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[:-100], "bit": whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:], "empty": b""}[damage]
    )
    assert Module(*INJECTOR).compiled == first.compiled
    assert path.read_bytes() == whole


def test_two_processes_that_compile_the_same_at_once_both_get_it(kept: Path) -> None:
    code = f"""
from pathlib import Path
from upfml.base.cache import Cache
from upfml.bpf import compiler
from upfml.bpf.module import Module
compiler._CACHE = Cache(Path({str(kept)!r}))
Module(*{INJECTOR!r}).load("pass")
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert files(kept) == 1


def test_a_text_that_does_not_compile_is_not_kept(kept: Path) -> None:
    with pytest.raises(UserError, match="does not compile"):
        Module("injector.bpf.c", {"FRAMES": "nothing"})
    assert files(kept) == 0
    with pytest.raises(Exception, match="Failed to compile"):
        compiled("int wrong(", [])
    assert files(kept) == 0


def test_only_maps_have_other_numbers_in_the_code_of_another_kernel() -> None:
    load, exit_ = bytes.fromhex("1811000000000000" + "00" * 8), bytes.fromhex("95" + "00" * 7)
    number = bytes.fromhex("1801000000000000" + "00" * 8)  # 64 bits that are no map
    code = Compiled([], {"program": load + number + exit_}).code("program", [5])
    assert code == bytes.fromhex("1811000005000000" + "00" * 8) + number + exit_
