"""The provision check of three machines that are reached by SSH, fit and not."""

from __future__ import annotations

import fcntl
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.testbed.machines import ADDRESSES, FOLDER, PLAIN_USER, PYTHON, Testbed, make_key
from tests.testbed.test_ssh import section

from upfml import provision
from upfml.bpf import xdp
from upfml.bpf.module import Module
from upfml.provision import machine
from upfml.testbed.namespaces import DN, N3, N6, UE, UPLINK_TEID, inside

NAMES = {role: f"{role} ({address})" for role, address in ADDRESSES.items()}
USER_PLANE = "user plane"


def checked(described: dict[str, Any], *names: str) -> provision.Findings:
    """The check of the hosts with these names, or of all."""
    with provision.hosts(described) as hosts:
        return provision.check(host for host in hosts if not names or host.name in names)


def failed(report: provision.Findings) -> dict[str, str]:
    """What was found by the checks that failed."""
    return {finding.check: finding.found for finding in report.findings if finding.verdict == "failed"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "IDLE_OVER_S", 0.1)


def test_machines_that_are_fit_pass_and_nothing_is_left_there(testbed: Testbed) -> None:
    devices = {role: testbed.inside(role, "ip", "-o", "link").stdout for role in ADDRESSES}
    report = checked(section(testbed))
    report.raise_if_failed()
    hosts = ["this machine", *NAMES.values(), USER_PLANE]
    assert list(dict.fromkeys(finding.host for finding in report.findings)) == hosts
    found = {(finding.host, finding.check): finding.found for finding in report.findings}
    assert found[NAMES["upf"], "BCC"].endswith("compiled and loaded")
    assert found[NAMES["upf"], "XDP on N3"] == "none"
    assert found[NAMES["upf"], "XDP modes of N3's driver"].startswith("veth: ")
    assert found[NAMES["ran"], "SSH comes in"] == "by mgmt"
    assert found[NAMES["dn"], "player (GStreamer from Python)"] == "starts"
    assert found[NAMES["dn"], f"N6 {DN}"] == f"on {N6}"
    assert found[USER_PLANE, "UE's address"] == UE
    assert found[USER_PLANE, "data network reaches the UE"] == f"{UE} answers {DN}"
    assert found[USER_PLANE, "PDU session"] == f"TEID {UPLINK_TEID:#x} on {N3}"
    assert found[USER_PLANE, "ping through the tunnel"].startswith("3 of 3 answered")
    assert not any(testbed.folder(role).exists() for role in ADDRESSES)
    assert {role: testbed.inside(role, "ip", "-o", "link").stdout for role in ADDRESSES} == devices


@pytest.mark.usefixtures("quick")
def test_missing_tool_is_told(testbed: Testbed) -> None:
    testbed.inside("upf", "mount", "--bind", "/dev/null", "/usr/bin/mpstat")
    try:
        assert set(failed(checked(section(testbed), NAMES["upf"]))) == {"mpstat"}
    finally:
        testbed.inside("upf", "umount", "/usr/bin/mpstat")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("role", "changed", "expected"),
    [
        ("upf", {"n3": "n33"}, {"N3 n33": "there is none; there are lo, n3, n6, mgmt"}),
        ("ran", {"n3": "n33"}, {"N3 n33": "there is none; there are lo, "}),
        ("dn", {"address_n6": "10.70.0.99"}, {"N6 10.70.0.99": f"not there; there are 127.0.0.1, {DN}"}),
        ("dn", {"python": "/no/python"}, {"Python": "/no/python", "a run": "there is no Python at /no/python"}),
        ("dn", {"user": PLAIN_USER}, {"runs commands": f"does not let {PLAIN_USER} become root"}),
        ("dn", {"port": 23}, {"runs commands": "cannot connect to dn (10.213.77.10), port 23"}),
        ("dn", {"user": "nobody-knows"}, {"runs commands": "does not let nobody-knows log in with the key"}),
    ],
)
def test_what_is_wrong_is_told(
    testbed: Testbed,
    role: str,
    changed: dict[str, Any],
    expected: dict[str, str],
) -> None:
    report = checked(section(testbed, **{role: changed}), NAMES[role])
    found = failed(report)
    assert set(found) == set(expected)
    for check, words in expected.items():
        assert words in found[check]


@pytest.mark.parametrize(
    ("role", "changed", "found"),
    [
        ("upf", {"n3": "mgmt"}, "is not seen as GTP-U on mgmt of upf"),
        ("upf", {"n3": "n33"}, "cannot listen on N3"),
        ("ran", {"ue": "uesimtun7"}, "uesimtun7 is no device with an IPv4 address on ran"),
        ("ran", {"ue": "10.60.0.99"}, "the UE cannot send from 10.60.0.99"),
    ],
)
def test_wrong_device_or_address_has_no_session(
    testbed: Testbed,
    role: str,
    changed: dict[str, Any],
    found: str,
) -> None:
    assert found in failed(checked(section(testbed, **{role: changed}), USER_PLANE))["PDU session"]


def test_without_a_tunnel_there_is_no_session(testbed: Testbed) -> None:
    testbed.inside("ran", "ip", "link", "set", "gnb", "down")
    try:
        assert set(failed(checked(section(testbed), USER_PLANE))) == {"PDU session"}
    finally:
        testbed.inside("ran", "ip", "link", "set", "gnb", "up")


def test_ue_that_cannot_be_reached_from_the_data_network_is_told(testbed: Testbed) -> None:
    testbed.inside("dn", "ip", "route", "add", "unreachable", UE)
    try:
        report = checked(section(testbed), USER_PLANE)
        assert failed(report) == {"data network reaches the UE": "OSError: [Errno 113] No route to host"}
    finally:
        testbed.inside("dn", "ip", "route", "del", "unreachable", UE)


@pytest.mark.usefixtures("quick")
def test_clock_that_is_off_is_told(testbed: Testbed) -> None:
    # A machine's own clock is everybody's here; what its Python sees is not.
    late = testbed.root("dn") / "run/upfml/late-python"
    (library,) = Path("/usr/lib").glob(
        "*/faketime/libfaketime.so.1"
    )  # faketime(1) forks, and the keeper has to be init
    clock = f"LD_PRELOAD={library} FAKETIME=-2s FAKETIME_DONT_FAKE_MONOTONIC=1"
    late.write_text(f'#!/bin/sh\nexport {clock}\nexec {PYTHON} "$@"\n')
    late.chmod(0o755)
    found = failed(checked(section(testbed, dn={"python": "/run/upfml/late-python"}), NAMES["dn"]))
    assert set(found) == {"clock against here"}
    assert found["clock against here"].startswith(("-2000.", "-1999."))


@pytest.mark.usefixtures("quick")
def test_changed_host_key_is_told_with_what_to_do(testbed: Testbed, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    key = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    (tmp_path / "known").write_text(f"{ADDRESSES['upf']} {key}\n")
    report = checked(section(testbed, upf={"known_hosts": str(tmp_path / "known")}), NAMES["upf"])
    (finding,) = report.findings
    assert "the host key of upf (10.213.77.6)" in finding.found and "has changed" in finding.found
    assert "ssh-keygen -R 10.213.77.6" in finding.remedy


@pytest.mark.usefixtures("quick")
def test_full_disk_is_told(testbed: Testbed) -> None:
    testbed.inside(
        "dn", "sh", "-c", "mkdir /run/upfml/small && mount -t tmpfs -o size=64k,mode=755 none /run/upfml/small"
    )
    found = failed(checked(section(testbed, dn={"folder": "/run/upfml/small"}), NAMES["dn"]))
    assert set(found) == {"disk for /run/upfml/small", "a run"}
    assert found["disk for /run/upfml/small"] == "0.0 GB free on /run/upfml/small"
    assert "0 free of 64K on /run/upfml/small" in found["a run"]


@pytest.mark.usefixtures("quick")
def test_program_on_n3_is_told_and_left_alone(testbed: Testbed) -> None:
    program = Module("injector.bpf.c", {"FRAMES": 1, "FRAME_BYTES": 120}).load("pass")
    with inside(testbed.namespaces.upf.namespace):
        take_off = xdp.hold(program.fd, socket.if_nametoindex(N3), "generic")
    try:
        report = checked(section(testbed), NAMES["upf"])
        (finding,) = [finding for finding in report.findings if finding.verdict == "failed"]
        assert (finding.check, finding.found.split()[2]) == ("XDP on N3", "(xdpgeneric)")
        assert f"`ip link set dev {N3} xdpgeneric off`" in finding.remedy
        assert "xdpgeneric" in testbed.inside("upf", "ip", "link", "show", "dev", N3).stdout
    finally:
        take_off()


@pytest.mark.usefixtures("quick")
def test_machine_in_another_runs_hands_is_told(testbed: Testbed) -> None:
    testbed.inside("dn", "mkdir", "-p", "--mode=755", FOLDER)
    try:
        with (testbed.folder("dn") / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = failed(checked(section(testbed), NAMES["dn"]))
        assert set(found) == {"a run"}
        assert "another run" in found["a run"]
    finally:
        testbed.inside("dn", "rm", "-r", FOLDER)
