"""README and the pages beside it: their links lead somewhere, and the commands that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "ARTIFACT.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


def anchors(page: Path) -> set[str]:
    """What a link to a heading of a page ends with, as code hosts and MkDocs make it."""
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    }


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", (ROOT / name).read_text())
    for target, anchor in links:
        page = ROOT / (target or name)
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), f"{target}#{anchor}"


@pytest.mark.parametrize("name", PAGES)
def test_targets_of_make_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    code = re.findall(r"^```sh\n(.*?)^```|`([^`\n]+)`", (ROOT / name).read_text(), re.M | re.S)
    named = {target for block in code for target in re.findall(r"^make ([a-z-]+)", "\n".join(block), re.M)}
    assert named <= targets, named - targets


def test_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
