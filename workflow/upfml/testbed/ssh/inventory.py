"""The machines of the test bed `ssh`, as config.yaml names them: how to reach each, and what of it the experiment uses.

The paper's three (section 3.3, figure 5): `ran` has UE and gNB, `upf` the UPF, `dn` is the data network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROLES = ("ran", "upf", "dn")


@dataclass(frozen=True)
class Machine:
    """One machine. The devices are network devices there; each role has those that it needs, the others are empty."""

    role: str
    address: str  # of its sshd
    port: int
    user: str
    key: Path | None  # private key file; None: the keys that ssh-agent holds
    known_hosts: Path
    sudo: bool  # become root by `sudo -n`; otherwise `user` is root
    python: str  # the interpreter there; on the UPF that of a .venv made by `make setup`
    folder: str  # where a run may put files; each run has a folder of its own in it, which goes with the run
    n3: str = ""  # ran, upf: the device that carries GTP-U
    ue: str = ""  # ran: the tunnel's device (uesimtun0), whose address is the UE's, or that address itself
    address_n6: str = ""  # dn: its address on N6, which the UE's traffic goes to


def machines(config: Mapping[str, Any]) -> dict[str, Machine]:
    """The machines by role, in the order of ROLES; `config` is the section `testbed`, of kind ssh."""
    described = config["machines"]
    common = {key: value for key, value in described.items() if key not in ROLES}
    return {role: _machine(role, {**common, **described[role]}) for role in ROLES}


def _machine(role: str, described: Mapping[str, Any]) -> Machine:
    defaults = {"port": 22, "user": "root", "key": None, "known_hosts": "~/.ssh/known_hosts"}
    fields = {**defaults, "python": "python3", "folder": "/var/tmp/upfml", **described}
    fields.setdefault("sudo", fields["user"] != "root")
    key = fields.pop("key")
    return Machine(
        role=role,
        key=Path(key).expanduser() if key else None,
        known_hosts=Path(fields.pop("known_hosts")).expanduser(),
        **fields,
    )
