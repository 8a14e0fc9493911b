"""docs/real-testbed.md: its examples are taken by the configuration's schema, its messages are those of the code."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml

from upfml import config
from upfml.testbed.ssh import inventory

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/real-testbed.md").read_text()
SOURCES = "".join(path.read_text() for path in (ROOT / "workflow/upfml").rglob("*.py"))


def example(page: str) -> dict[str, Any]:
    """The section `testbed` that a page shows."""
    (found,) = [each for each in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S) if "kind: ssh" in each]
    testbed: dict[str, Any] = yaml.safe_load(found)["testbed"]
    return testbed


def test_example_is_a_configuration() -> None:
    whole = yaml.safe_load((ROOT / "config.yaml").read_text())
    shown = example(PAGE)
    whole["testbed"] |= copy.deepcopy(shown)
    config.check(whole)
    machines = inventory.machines(shown)
    assert [machine.sudo for machine in machines.values()] == [True] * 3
    assert machines["upf"].python.endswith(".venv/bin/python")


def test_defaults_are_those_of_the_inventory() -> None:
    stated = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]+?)`? \|", PAGE, re.M))
    machine = inventory.machines({"machines": {role: {"address": "x"} for role in inventory.ROLES}})["dn"]
    for key in ("port", "user", "python", "folder"):
        assert stated[key] == str(getattr(machine, key))
    assert Path(stated["known_hosts"]).expanduser() == machine.known_hosts


def test_messages_are_said_somewhere() -> None:
    table = PAGE[PAGE.index("## When it says") :]
    messages = [words for row in re.findall(r"^\| (`.*?`) \|", table, re.M) for words in re.findall(r"`(.+?)`", row)]
    assert len(messages) > 15
    code = re.sub(r'"\s*\n\s*f?"', "", SOURCES)  # texts that go over lines
    for message in messages:
        fixed = max(re.split(r"…|ubuntu|\bN3\b|10 s|: ", message), key=len).strip(" :")
        if "sudo" not in message:  # those are sudo's own words
            assert fixed in code, message


def test_links_go_to_home_pages_only() -> None:
    assert {re.sub(r"https?://([^/)]+).*", r"\1", link) for link in re.findall(r"https?://[^)\s]+", PAGE)} == {
        "github.com", "free5gc.org", "open5gs.org",
    }  # fmt: skip
