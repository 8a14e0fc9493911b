"""A stage's code: what changes its hash and what does not, on a small project and on this one."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest

from upfml.base import sourcecode

ROOT = Path(__file__).resolve().parents[2]
PROJECT = {
    "workflow/scripts/measure.py": """
        from upfml.low import tools
        from upfml.high import measured
        measured(tools.count([]))
    """,
    "workflow/upfml/__init__.py": "",
    "workflow/upfml/low/__init__.py": "",
    "workflow/upfml/low/tools.py": '''
        """Tools."""
        LIMIT = 3

        def count(of):
            """How many."""
            return min(len(of), LIMIT)

        def unused(of):
            return len(of)
    ''',
    "workflow/upfml/high.py": """
        from typing import TYPE_CHECKING
        from pathlib import Path
        if TYPE_CHECKING:
            from upfml.typed import Typed
        COMMAND = ["python", "-m", "upfml.agent"]

        def measured(number: "Typed"):
            from upfml.lazy import late
            return late(number), COMMAND
    """,
    "workflow/upfml/typed.py": "class Typed: ...",
    "workflow/upfml/lazy.py": """
        from pathlib import Path
        SOURCE = Path(__file__).with_name("beside.c")
        def late(number):
            tools = number
            return tools, SOURCE
    """,
    "workflow/upfml/agent.py": 'PROGRAM = "there.bpf.c"',
    "workflow/upfml/beside.c": '#include "beside.h"\n#include "generated.h"\nint a; /* an a */\n',
    "workflow/upfml/beside.h": '#include "include/common.h"\nint b;\n',
    "bpf/there.bpf.c": '#include "engine.h"\nint c;\n',
    "bpf/other.bpf.c": "int d;\n",
    "bpf/include/common.h": "int e;\n",
    "bpf/engines/one.h": "int one;\n",
    "bpf/engines/two.h": "int two;\n",
}


def written(folder: Path, changed: dict[str, str] | None = None) -> Path:
    for name, text in (PROJECT | (changed or {})).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def with_change(folder: Path, name: str, old: str, new: str) -> str:
    """The hash after a change of one file."""
    text = textwrap.dedent(PROJECT[name])
    assert old in text or not old
    return sourcecode.of("measure.py", root=written(folder, {name: text.replace(old, new) if old else text + new}))


@pytest.fixture
def before(tmp_path: Path) -> str:
    return sourcecode.of("measure.py", root=written(tmp_path / "before"))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("workflow/scripts/measure.py", "[]", "[1]"),
        ("workflow/upfml/low/tools.py", "LIMIT = 3", "LIMIT = 4"),
        ("workflow/upfml/low/tools.py", "min(", "max("),
        ("workflow/upfml/low/tools.py", "", "\nsetattr(count, 'slow', True)\n"),
        ("workflow/upfml/high.py", '"-m"', '"-I", "-m"'),
        ("workflow/upfml/lazy.py", "return tools", "return -tools"),
        ("workflow/upfml/agent.py", "there", "other"),
        ("workflow/upfml/beside.c", "int a", "long a"),
        ("workflow/upfml/beside.h", "int b", "long b"),
        ("bpf/there.bpf.c", "int c", "long c"),
        ("bpf/include/common.h", "int e", "long e"),
        ("bpf/engines/two.h", "int two", "long two"),
    ],
)
def test_what_a_script_reaches_is_its_code(tmp_path: Path, before: str, name: str, old: str, new: str) -> None:
    assert with_change(tmp_path / "after", name, old, new) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("workflow/upfml/low/tools.py", "How many", "How many there are"),
        ("workflow/upfml/low/tools.py", "LIMIT = 3", "LIMIT = 3  # at most"),
        ("workflow/upfml/low/tools.py", "return len(of)", "return 0"),
        ("workflow/upfml/typed.py", "...", "number = 1"),
        ("workflow/upfml/beside.c", "an a", "no a"),
        ("bpf/other.bpf.c", "int d", "long d"),
    ],
)
def test_what_it_does_not_reach_is_not(tmp_path: Path, before: str, name: str, old: str, new: str) -> None:
    assert with_change(tmp_path / "after", name, old, new) == before


def test_what_is_unused_does_not_count(tmp_path: Path) -> None:
    unused = ["bpf/engines/two.h"]
    hashes = [
        sourcecode.of("measure.py", unused, written(tmp_path / str(number), {"bpf/engines/two.h": text}))
        for number, text in enumerate(("int two;", "long two;"))
    ]
    assert hashes[0] == hashes[1]
    assert "bpf/engines/two.h" not in sourcecode.files("measure.py", unused, tmp_path / "0")
    assert "bpf/engines/one.h" in sourcecode.files("measure.py", unused, tmp_path / "0")


def test_hashes_are_kept_until_a_source_changes(tmp_path: Path, before: str) -> None:
    folder = written(tmp_path / "kept")
    assert sourcecode.of("measure.py", root=folder) == before
    sourcecode._hashes.cache_clear()
    assert sourcecode.of("measure.py", root=folder) == before
    written(folder, {"bpf/there.bpf.c": "int none;\n"})
    sourcecode._hashes.cache_clear()
    assert sourcecode.of("measure.py", root=folder) != before


def test_nobody_may_write_there(tmp_path: Path, before: str) -> None:
    folder = written(tmp_path / "kept")
    (folder / ".cache").write_text("no folder")
    assert sourcecode.of("measure.py", root=folder) == before


def test_a_kept_hash_is_there_at_once() -> None:
    """Each job of a run asks for it."""
    sourcecode.of("classify.py")
    sourcecode._hashes.cache_clear()
    began_s = time.process_time()
    sourcecode.of("classify.py")
    assert time.process_time() - began_s < 0.2  # about 0.02


def test_every_c_file_is_code_of_something(tmp_path: Path) -> None:
    """C that nothing reaches is dead, or a reference to it is not understood."""
    reached = set().union(*(sourcecode.files(path.name) for path in (ROOT / "workflow/scripts").glob("*.py")))
    sources = [*(ROOT / "bpf").rglob("*.[ch]"), *(ROOT / "workflow/upfml").rglob("*.[ch]")]
    assert {str(path.relative_to(ROOT)) for path in sources} <= reached
