"""Follow a page of docs/extending as its reader would: in a copy of the project, block by block.

A fenced block whose header has a title changes that file: `diff` blocks change it, others are a new file. What a `sh`
block prints has to hold the lines of the `text` block after it, in their order; `…` in such a line is anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs/extending"
_NOT_COPIED = [".venv", ".cache"]
"""What `make setup` made, and what was compiled, by its content: the copy has links to it."""
_BLOCK = re.compile(
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str | None  # the file that it changes
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page in order."""
    return [Block(**block.groupdict()) for block in _BLOCK.finditer(page)]


def follow(name: str, folder: Path) -> None:
    """Do what the page `name` says, in a copy of the project that is made in `folder`, which is empty."""
    _copy(folder)
    printed = ""
    for block in blocks((PAGES / f"{name}.md").read_text()):
        if block.title:
            _change(folder / block.title, block)
        elif block.language == "sh":
            printed = _run(block.text, folder)
        elif block.language == "text":
            wanted = ".*\n(?:.*\n)*?".join(re.escape(line).replace("…", ".*") for line in block.text.splitlines())
            assert re.search(wanted, printed), f"{name}: not\n{block.text}but\n{printed}"


def patched(text: str, difference: str) -> str:
    """`text` after the fragments of a difference, which lines of `@@` part; each has to fit in one place only."""
    for fragment in re.split(r"^@@\n", difference, flags=re.MULTILINE):
        lines = [line or " " for line in fragment.splitlines()]  # editors cut the blank before an empty line
        before, after = ("".join(f"{line[1:]}\n" for line in lines if line[0] in kept) for kept in (" -", " +"))
        assert text.count(before) == 1, f"in {text.count(before)} places:\n{before}"
        text = text.replace(before, after)
    return text


def _copy(folder: Path) -> None:
    """All files that are or would be in the repository, as they stand."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():  # else it was removed just now
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in _NOT_COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)


def _change(path: Path, block: Block) -> None:
    if block.language == "diff":
        path.write_text(patched(path.read_text(), block.text))
    else:
        assert not path.exists(), f"{path} is no new file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)


def _run(commands: str, folder: Path) -> str:
    ours = {"PYTHONPATH": str(folder / "workflow"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | ours
    done = subprocess.run(
        ["bash", "-e", "-c", commands], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{commands}{done.stdout}"
    return done.stdout
