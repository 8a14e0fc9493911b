"""The package's rooms: imports go one way, each room says what it owns, and a class's name has one meaning."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import upfml

PACKAGE = Path(upfml.__file__).parent
ORDER = re.findall(r"^    (\w+) +\S", upfml.__doc__ or "", re.MULTILINE)
"""Lowest first."""
TO_COME = {"act"}
"""Rooms that have a place in the order, and nothing in them yet."""


def sources() -> dict[Path, ast.Module]:
    """Every module by its path in the package."""
    return {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


SOURCES = sources()
ROOMS = sorted({path.parts[0].removesuffix(".py") for path in SOURCES} - {"__init__"})


def room_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and room of everything that it imports of this package, also within functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "upfml":
                yield node.lineno, rest.split(".")[0]


def docstring(package: str) -> str:
    return ast.get_docstring(SOURCES[Path(package) / "__init__.py"]) or ""


def said_to_be_imported(room: str) -> set[str]:
    """The rooms that the room's docstring names, for instance in “It imports base, arms and bpf”."""
    sentence = re.search(r"It imports ([\w,\s]+)\.", docstring(room))
    assert sentence, f"upfml/{room}/__init__.py does not say what it imports"
    return set() if sentence[1] == "no other room" else set(re.split(r",\s+|\s+and\s+", sentence[1]))


def test_every_room_has_a_place_in_the_order() -> None:
    assert len(ORDER) == len(set(ORDER))
    assert set(ROOMS) | TO_COME == set(ORDER)


def test_imports_go_one_way() -> None:
    up = [
        f"{path}:{line} imports {room}"
        for path, module in SOURCES.items()
        if room_of(path) in ORDER
        for line, room in imported(module)
        if room in ORDER and ORDER.index(room) > ORDER.index(room_of(path))
    ]
    assert up == []


def test_config_is_for_those_who_read_it() -> None:
    """The others get what they need of it."""
    readers = {room_of(path) for path, module in SOURCES.items() for _, room in imported(module) if room == "config"}
    assert readers <= {"cli"}


@pytest.mark.parametrize("room", [room for room in ROOMS if (PACKAGE / room).is_dir()])
def test_a_room_says_whom_it_imports(room: str) -> None:
    imports = {other for path, module in SOURCES.items() if room_of(path) == room for _, other in imported(module)}
    assert said_to_be_imported(room) == imports - {room}


@pytest.mark.parametrize("package", sorted(str(path.parent) for path in SOURCES if path.name == "__init__.py"))
def test_a_package_says_what_it_owns(package: str) -> None:
    assert len(docstring(package).split()) >= 15


def test_a_class_has_its_name_alone() -> None:
    """A leading underscore makes no difference: a reader does not hear it."""
    places = defaultdict(list)
    for path, module in SOURCES.items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_the_manual_gives_the_same_order() -> None:
    page = (PACKAGE.parents[1] / "docs/architecture.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("base → ")]
    assert line.split(" → ") == [room for room in ORDER if room not in TO_COME]
