"""README, the pages beside it and the manual: links lead somewhere; commands, rules and keys that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "ARTIFACT.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
EVERY_PAGE = [
    *PAGES,
    "config/README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
]


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


def code(name: str) -> str:
    """What stands between backticks on a page, each piece on lines of its own."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```|`([^`\n]+)`", (ROOT / name).read_text(), re.M | re.S)
    return "\n".join(block or span for block, span in blocks)


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_targets_of_make_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"^(?:\$ )?make ([a-z-]+)", code(name), re.M))
    assert named <= targets, named - targets


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_rules_of_snakemake_exist(name: str) -> None:
    rules = re.findall(r"^rule (\w+):", "".join(path.read_text() for path in (ROOT / "workflow").rglob("*.smk")), re.M)
    calls = re.findall(r"^(?:\$ )?snakemake ([^#\n]*)", code(name), re.M)
    named = {word for call in calls for word in call.split() if re.fullmatch("[a-z]\\w*", word)}
    made_by_the_page = {"figure_iats"}
    assert named <= {"all", *rules} | made_by_the_page, named - set(rules)


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_keys_of_the_configuration_exist(name: str) -> None:
    sections = yaml.safe_load((ROOT / "config.yaml").read_text())
    keys = set(re.findall(r"^ *-? *(\w+):", (ROOT / "workflow/schemas/config.schema.yaml").read_text(), re.M))
    for section, *within in (path.split(".") for path in re.findall(r"^(?:\w+\.)+\w+(?=$|:)", code(name), re.M)):
        if section in sections and within[-1] not in ("csv", "h", "json", "py", "smk"):  # files
            assert set(within) <= keys, f"{section}.{'.'.join(within)}"


def test_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
