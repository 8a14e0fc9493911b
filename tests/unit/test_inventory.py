"""testbed.machines of the configuration: what is common, what a role needs, and what is refused by name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from upfml import config
from upfml.base.errors import UserError
from upfml.testbed.ssh import inventory

ROOT = Path(__file__).resolve().parents[2]
MACHINES: dict[str, Any] = {
    "user": "ubuntu",
    "key": "~/.ssh/id_ed25519",
    "ran": {"address": "192.0.2.11", "n3": "ens4", "ue": "uesimtun0"},
    "upf": {"address": "192.0.2.12", "n3": "ens4", "python": "/root/upfml/.venv/bin/python", "user": "root"},
    "dn": {"address": "192.0.2.13", "address_n6": "198.51.100.1", "port": 2222, "folder": "/srv/upfml"},
}


def described(path: str = "", value: Any = None) -> dict[str, Any]:
    """config.yaml with these machines, one key of them changed, or without it where the value is None."""
    whole: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    machines = copy.deepcopy(MACHINES)
    if path:
        *above, key = path.split(".")
        section = machines
        for each in above:
            section = section[each]
        section[key] = value
        if value is None:
            del section[key]
    whole["testbed"] |= {"kind": "ssh", "machines": machines}
    return whole


def test_what_is_common_stands_once_and_a_machine_may_differ() -> None:
    whole = described()
    config.check(whole)
    ran, upf, dn = inventory.machines(whole["testbed"]).values()
    assert (ran.user, ran.sudo, ran.port, ran.python) == ("ubuntu", True, 22, "python3")
    assert ran.key == Path("~/.ssh/id_ed25519").expanduser() == dn.key
    assert (upf.user, upf.sudo, upf.n3, upf.ue) == ("root", False, "ens4", "")
    assert (dn.port, dn.folder, dn.address_n6) == (2222, "/srv/upfml", "198.51.100.1")
    assert ran.known_hosts == Path.home() / ".ssh/known_hosts"


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("ran", None, "'ran' is a required property"),
        ("ran.ue", None, "testbed.machines.ran: 'ue' is a required property"),
        ("upf.n3", None, "testbed.machines.upf: 'n3' is a required property"),
        ("upf.n3", "a device", r"testbed.machines.upf.n3: .*a network device of that machine"),
        ("upf.ue", "uesimtun0", "'ue' was unexpected"),
        ("dn.address_n6", None, "'address_n6' is a required property"),
        ("dn.address_n6", "dn.example", "testbed.machines.dn.address_n6: .*IPv4 address"),
        ("dn.folder", "upfml", "testbed.machines.dn.folder: .*an absolute path"),
        ("port", 70_000, "testbed.machines.port: .*1 to 65535"),
        ("passwort", "secret", "'passwort' was unexpected"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(UserError, match=rf"(?s){named}"):
        config.check(described(path, value))


def test_ssh_without_machines_is_refused() -> None:
    whole = described()
    del whole["testbed"]["machines"]
    with pytest.raises(UserError, match="'machines' is a required property"):
        config.check(whole)
