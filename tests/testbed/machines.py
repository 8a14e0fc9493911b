"""Three machines made of this one, to be reached by SSH as real ones are.

The namespaces of the test bed `namespaces` carry GTP-U between them. In each runs a real sshd, on a management link of
its own, in a mount namespace that has another /run, /tmp and /var/tmp, and nothing of this project but its interpreter:
what was not sent cannot be read. `ran` and `upf` are logged in to as root, `dn` as a user who has sudo.

tests/conftest.py makes the fixtures known to all tests. Imported by a module, they would be others, in these ones' way.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute
from tests.waiting import until

import upfml
from upfml.testbed.host import die_with_parent
from upfml.testbed.namespaces import DN, N3, UE_DEVICE, Namespaces
from upfml.testbed.ssh import inventory
from upfml.testbed.ssh.inventory import ROLES, Machine

PREFIX = "upfssh"
FOLDER = "/var/tmp/upfml"
ADDRESSES = {role: f"10.213.77.{4 * number + 2}" for number, role in enumerate(ROLES)}
"""Each in a /30 of its own with the controller's end below it."""
SUDO_USER, PLAIN_USER = "upfsudo", "upfplain"
PROJECT = Path(upfml.__file__).resolve().parents[2]
PYTHON = PROJECT / ".venv/bin/python"

_SSHD = """
HostKey /run/upfml/host_key
AuthorizedKeysFile /run/upfml/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""
_SUDOERS = f"""
Defaults env_reset, use_pty
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
{SUDO_USER} ALL=(root) NOPASSWD: ALL
"""
# $1: folder with this machine's configuration; $2: the project; the rest: further folders to hide.
_MAKE = (
    r"""
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd /run/upfml /run/upfml/etc /run/upfml/home
cp "$1"/host_key "$1"/sshd_config "$1"/authorized_keys /run/upfml
for file in passwd shadow group sudoers; do
    cp -p /etc/$file /run/upfml/etc
done
cp "$1"/sudoers /run/upfml/etc/sudoers
number=61000
for user in """
    + f"{SUDO_USER} {PLAIN_USER}"
    + r"""; do
    number=$((number + 1))
    echo "$user:x:$number:$number::/run/upfml/home:/bin/sh" >>/run/upfml/etc/passwd
    echo "$user:x:$number:" >>/run/upfml/etc/group
    echo "$user:*:19000:0:99999:7:::" >>/run/upfml/etc/shadow
done
for file in passwd shadow group sudoers; do
    mount --bind /run/upfml/etc/$file /etc/$file
done
project=$2
shift 2
for kept in .venv .cache/kernel-headers; do
    if [ -d "$project/$kept" ]; then
        mkdir -p "/run/upfml/kept/$kept"
        mount --bind "$project/$kept" "/run/upfml/kept/$kept"
    fi
done
for hidden in "$project" "$@"; do
    mount -t tmpfs -o mode=1777 tmpfs "$hidden"
done
for kept in .venv .cache/kernel-headers; do
    if [ -d "/run/upfml/kept/$kept" ]; then
        mkdir -p "$project/$kept"
        mount --bind "/run/upfml/kept/$kept" "$project/$kept"
    fi
done
chmod 755 "$project"
exec /usr/sbin/sshd -D -e -f /run/upfml/sshd_config
"""
)


@dataclass(frozen=True)
class Testbed:
    """What `testbed` made: the machines, and how to look at them without SSH."""

    __test__ = False

    namespaces: Namespaces
    key: Path
    known_hosts: Path
    sshd: dict[str, subprocess.Popen[bytes]]

    def section(self) -> dict[str, Any]:
        """The keys of config.yaml's section `testbed` that name the machines."""
        machines: dict[str, Any] = {
            "key": str(self.key),
            "known_hosts": str(self.known_hosts),
            "python": str(PYTHON),
            "folder": FOLDER,
            "ran": {"address": ADDRESSES["ran"], "n3": N3, "ue": UE_DEVICE},
            "upf": {"address": ADDRESSES["upf"], "n3": N3},
            "dn": {"address": ADDRESSES["dn"], "user": SUDO_USER, "address_n6": DN},
        }
        return {"kind": "ssh", "machines": machines}

    def machines(self) -> dict[str, Machine]:
        """The machines by role."""
        return inventory.machines(self.section())

    def machine(self, role: str, **changed: Any) -> Machine:
        """One of them, described otherwise than it is."""
        return replace(self.machines()[role], **changed)

    def root(self, role: str) -> Path:
        """Where the machine's file system can be seen from here."""
        return Path(f"/proc/{self.sshd[role].pid}/root")

    def folder(self, role: str) -> Path:
        """Where its folder for runs can be seen from here."""
        return self.root(role) / FOLDER.lstrip("/")

    def inside(self, role: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine's mount and network namespaces."""
        enter = ["nsenter", f"--target={self.sshd[role].pid}", "--mount", "--net", "--"]
        return subprocess.run([*enter, *argv], capture_output=True, text=True)

    def link(self, role: str, state: str) -> None:
        """Set the machine's end of the management link `up`, or `down`: nothing says so to the connection."""
        done = self.inside(role, "ip", "link", "set", "mgmt", state)
        assert done.returncode == 0, done.stderr


def _device(role: str) -> str:
    return f"{PREFIX}-m-{role}"


@pytest.fixture(scope="session")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """The machines, up for all tests that use them."""
    work = tmp_path_factory.mktemp("machines")
    key, known_hosts = work / "key", work / "known_hosts"
    make_key(key)
    with Namespaces(PREFIX, 1400) as bed:
        bed_of = {"ran": bed.ran, "upf": bed.upf, "dn": bed.dn}
        sshd: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for role in ROLES:
                assert bed_of[role].namespace is not None
                _link(role, str(bed_of[role].namespace))
                sshd[role] = _sshd(work / role, str(bed_of[role].namespace), key, tmp_path_factory.getbasetemp())
                host_key = (work / role / "host_key.pub").read_text().split()[:2]
                with known_hosts.open("a") as known:
                    known.write(" ".join([ADDRESSES[role], *host_key]) + "\n")
            for role in ROLES:
                _await(ADDRESSES[role], work / role / "log")
            yield Testbed(bed, key, known_hosts, sshd)
        finally:
            for process in sshd.values():
                process.kill()
                process.wait()


@pytest.fixture
def machines(testbed: Testbed) -> dict[str, Machine]:
    """The machines by role."""
    return testbed.machines()


def make_key(path: Path, passphrase: str = "") -> None:
    """Make a key pair, `path` and `path`.pub."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path], check=True)


def _link(role: str, namespace: str) -> None:
    theirs = ADDRESSES[role]
    ours = f"{theirs.rpartition('.')[0]}.{int(theirs.rpartition('.')[2]) - 1}"
    with IPRoute() as ip:
        routes = [route for route in ip.get_routes(family=2, table=254) if route.get_attr("RTA_DST") == ours]
        assert not routes, f"{ours} is in use on this machine"
        ip.link("add", ifname=_device(role), kind="veth", peer={"ifname": "mgmt", "net_ns_fd": namespace})
        device = ip.link_lookup(ifname=_device(role))[0]
        ip.addr("add", index=device, address=ours, prefixlen=30)
        ip.link("set", index=device, state="up")
    with IPRoute(netns=namespace) as ip:
        device = ip.link_lookup(ifname="mgmt")[0]
        ip.addr("add", index=device, address=theirs, prefixlen=30)
        ip.link("set", index=device, state="up")


def _sshd(folder: Path, namespace: str, key: Path, basetemp: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    make_key(folder / "host_key")
    (folder / "sshd_config").write_text(_SSHD)
    (folder / "sudoers").write_text(_SUDOERS)
    (folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    hidden = {"/var/tmp", tempfile.gettempdir(), str(basetemp)}
    # A folder within another that is hidden is hidden with it, and is not there to be mounted on.
    outermost = sorted(
        one for one in hidden if not any(one != other and Path(one).is_relative_to(other) for other in hidden)
    )
    make = ["sh", "-c", _MAKE, "make", str(folder), str(PROJECT), *outermost]
    with (folder / "log").open("wb") as out:
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", "unshare", "--mount", "--propagation=private", "--", *make],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=die_with_parent,
        )


def _await(address: str, log: Path) -> None:
    scan = f"exec 3<>/dev/tcp/{shlex.quote(address)}/22"
    answers = until(lambda: subprocess.run(["bash", "-c", scan], capture_output=True).returncode == 0)
    assert answers, f"sshd at {address} does not answer: {log.read_text()}"


if sys.prefix == sys.base_prefix:  # the machines' interpreter has the packages that the tests' has
    raise RuntimeError("run the tests with the interpreter of .venv")
