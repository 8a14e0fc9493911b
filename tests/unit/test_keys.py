"""Keys of the configuration that messages, comments and pages name are keys that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from upfml import config

ROOT = Path(__file__).parents[2]
_FILES = r"py|c|h|md|json|smk|csv|parquet|bpf|txt|yaml|html|png|npy|so|bin|pcap|pcapng|lock"


def keys(schema: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in schema.get("properties", {}).items():
        yield f"{before}{name}"
        yield from keys(value, f"{before}{name}.")
        yield from keys(value.get("items", {}), f"{before}{name}.")


KEYS = set(keys(yaml.safe_load(config.SCHEMA.read_text())))
SECTIONS = "|".join(sorted(key for key in KEYS if "." not in key))


def named(text: str) -> set[str]:
    """What looks like a key: a section, a dot and more, but no file's name and no call."""
    found = re.findall(rf"(?<![\w./*-])((?:{SECTIONS})(?:\.[a-z_]+)+)(?![\w/(.*-])", text)
    return {key for key in found if not re.search(rf"\.({_FILES})$", key)}


def messages(source: Path) -> Iterator[str]:
    """The texts of every UserError that a file raises, a gap for each value in them."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UserError":
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_a_key_of_another_name_is_noticed() -> None:
    assert named("set classify.emit to change, see model.h") - KEYS == {"classify.emit"}
    assert named("classify.engine: table") <= KEYS


def test_messages_name_keys_that_there_are() -> None:
    found = {
        (source.name, key)
        for source in (ROOT / "workflow/upfml").rglob("*.py")
        for text in messages(source)
        for key in named(text)
    }
    assert len(found) > 10
    assert {(name, key) for name, key in found if key not in KEYS} == set()


def test_pages_name_keys_that_there_are() -> None:
    """In backquotes, as pages write a key; and in the comments of the settings and of the C."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    texts = {page: " ".join(re.findall(r"`([^`\n]+)`", page.read_text())) for page in pages}
    texts |= {path: path.read_text() for path in (ROOT / "config.yaml", *(ROOT / "presets").glob("*.yaml"))}
    texts |= {
        path: " ".join(re.findall(r"/\*.*?\*/", path.read_text(), re.S)) for path in (ROOT / "bpf").rglob("*.[ch]")
    }
    found = {(path.name, key) for path, text in texts.items() for key in named(text)}
    assert len(found) > 10
    assert {(name, key) for name, key in found if key not in KEYS} == set()
