"""Each check of a machine of the test bed `ssh` fails, or warns, for the thing that is wrong, and only that one.

A machine is a table of answers: those of one that is fit for its role, one of them changed. What real ones answer over
SSH is tested in tests/testbed/test_provision_ssh.py.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from upfml import provision
from upfml.base.errors import UserError
from upfml.provision import fiveg, kernel, machine, tools
from upfml.provision.roles import of_role
from upfml.testbed.ssh import inventory
from upfml.testbed.ssh.clocks import ClockOffset

Answers = dict[str, str | int]
"""By a command's first words: its output, or a status other than 0. The longest that fits is taken."""

TESTBED: dict[str, Any] = {
    "kind": "ssh",
    "n3_rate_mbit_s": [100, 25],
    "xdp_mode": "auto",
    "machines": {
        "python": "/opt/python",
        "ran": {"address": "192.0.2.1", "n3": "ens19", "ue": "uesimtun0"},
        "upf": {"address": "192.0.2.2", "n3": "ens19"},
        "dn": {"address": "192.0.2.3", "address_n6": "10.100.0.3"},
    },
}


def link(name: str, *addresses: str, **more: Any) -> dict[str, Any]:
    there = [{"family": "inet", "local": address} for address in addresses]
    return {"ifname": name, "flags": ["UP"], "operstate": "UP", "mtu": 1500, "addr_info": there} | more


def links(number: int, *others: dict[str, Any], **of_n3: Any) -> str:
    """What `ip` says on the machine with this number, N3 or N6 as `of_n3` has it."""
    lo = link("lo", "127.0.0.1", operstate="UNKNOWN", mtu=65536)
    n3 = link("ens19", f"10.100.0.{number}") | of_n3
    return json.dumps([lo, link("ens18", f"192.0.2.{number}"), n3, *others])


def features(*names: str, known: bool = True) -> str:
    return json.dumps({"driver": "virtio_net", "features": list(names) if known else None})


COMMON: Answers = {
    "true": "",
    "id -u": "0",
    "sh -c . /etc/os-release": "Ubuntu 24.04",
    "sh -c \nthere=": "50000000000 /var",
    "uname -srm": "Linux 6.8.0-40-generic x86_64",
    "uname -r": "6.8.0-40-generic",
    "uname -m": platform.machine(),
    "cat /proc/cpuinfo": "processor\t: 0\nprocessor\t: 1\nprocessor\t: 2\nprocessor\t: 3\n",
    "cat /proc/meminfo": "MemTotal: 6063304 kB\nMemFree: 100 kB\nMemAvailable: 4000000 kB\n",
    "cat /sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "timedatectl": "yes",
    "/opt/python -c": "3.11.2",
    "ip -V": "ip utility, iproute2-6.1.0",
}
FIT: dict[str, Answers] = {
    "ran": COMMON
    | {"ps -e -o comm=": "systemd\nnr-gnb\nnr-ue", "test -d /proc/net/sctp": "", "ip -json": links(1)}
    | {f"{tool} {option}": "version 1.2.3" for tool, option in {"tc": "-V", **tools.TOOLS}.items()}
    | {"gst-inspect-1.0 --exists": ""},
    "upf": COMMON
    | {
        "ps -e -o comm=": "systemd\nopen5gs-amfd\nopen5gs-smfd\nopen5gs-upfd\namf\nsmf\nupf",
        "test -d /proc/net/sctp": "",
        "test -r /sys/kernel/btf/vmlinux": "",
        "cat /sys/module/gtp5g/version": "0.9.5",
        "zcat /proc/config.gz": "".join(f"CONFIG_{option}=y\n" for option in kernel.OPTIONS),
        "ip -json": links(2, link("upfgtp", flags=["UP"])),
        "/opt/python -m upfml.bpf.abilities": json.dumps(
            {step: {"passed": True, "tried": True, "found": "yes"} for step in kernel.ABILITIES}
        ),
        "/opt/python -m upfml.bpf.xdpfeatures ens19": features("basic", "redirect"),
        **{f"{tool} {option}": "version 1.2.3" for tool, option in tools.TOOLS.items()},
    },
    "dn": COMMON
    | {"ip -json": links(3), "/opt/python -m upfml.traffic.player --help": "usage"}
    | {f"{tool} {option}": "version 1.2.3" for tool, option in {"ITGRecv": "-h", **tools.TOOLS}.items()}
    | {"gst-inspect-1.0 --exists": ""},
}
NEAR = ClockOffset(realtime_ns=2_000_000, monotonic_ns=0, uncertainty_ns=300_000)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "IDLE_OVER_S", 0.0)


class Runner:
    def __init__(self, answers: Answers) -> None:
        self.answers, self.idle_jiffies = answers, 0

    def __call__(self, argv: Sequence[str]) -> CompletedProcess[str]:
        command = " ".join(argv)
        if command == "cat /proc/stat":
            self.idle_jiffies += 100
            return CompletedProcess(argv, 0, f"cpu  0 0 0 {self.idle_jiffies} 0 0 0 0 0 0\n", "")
        fitting = [words for words in self.answers if command.startswith(words)]
        answer = self.answers[max(fitting, key=len)] if fitting else 127
        if isinstance(answer, int):
            return CompletedProcess(argv, answer, "", f"{argv[0]}: not found")
        return CompletedProcess(argv, 0, answer, "")


def check(
    role: str, changed: Answers | None = None, offset: ClockOffset = NEAR, **testbed: Any
) -> list[provision.Finding]:
    run = Runner(FIT[role] | (changed or {}))
    described = inventory.machines(TESTBED)[role]
    entered = SimpleNamespace(run=run, clock_offset=lambda: offset)
    return list(of_role(described, TESTBED | testbed, run, lambda: nullcontext(entered)).findings())


def not_ok(findings: Sequence[provision.Finding]) -> list[provision.Finding]:
    return [finding for finding in findings if finding.verdict != "ok"]


@pytest.mark.parametrize("role", FIT)
def test_fit_machine_passes(role: str) -> None:
    findings = check(role)
    assert not_ok(findings) == []
    assert len(findings) > 20
    assert {finding.host for finding in findings} == {f"{role} ({TESTBED['machines'][role]['address']})"}


def unable(step: str) -> str:
    """Of a machine on which this step fails."""
    results = json.loads(str(FIT["upf"]["/opt/python -m upfml.bpf.abilities"]))
    return json.dumps(results | {step: {"passed": False, "tried": True, "found": "Operation not permitted"}})


def options(without: str) -> str:
    return "".join(f"CONFIG_{option}=y\n" for option in kernel.OPTIONS if option != without)


DOWN = {"flags": [], "operstate": "DOWN"}
DECISIVE_ABILITIES = ("headers", "bcc", "jit")
OTHER_ABILITIES = ("test_run", "veth", "xdp_generic", "xdp_native", "af_xdp")
SAID = {"attached": [{"mode": 1, "prog": {"id": 7}}, {"mode": 2, "prog": {"id": 8}}]}


@pytest.mark.parametrize(
    ("role", "changed", "name", "found", "remedy"),
    [
        *[(role, {"id -u": "1000"}, "root", "user 1000", "run as root") for role in FIT],
        *[(role, {"uname -srm": 1}, "kernel", "unknown", "uname") for role in FIT],
        *[
            (role, {"sh -c \nthere=": "900000000 /tmp"}, "disk for /var/tmp/upfml", "0.9 GB free on /tmp", "folder")
            for role in FIT
        ],
        *[(role, {"sh -c \nthere=": 1}, "disk for /var/tmp/upfml", "unknown", "folder") for role in FIT],
        *[(role, {"/opt/python -c": 127}, "Python", "/opt/python: not found", "testbed.machines") for role in FIT],
        *[(role, {"/opt/python -c": "3.7.17"}, "Python", "3.7.17", "testbed.machines") for role in FIT],
        ("upf", {"/opt/python -c": "3.10.12"}, "Python", "3.10.12", "make setup"),
        *[(role, {"uname -m": "aarch64"}, "architecture", "aarch64", "compiled here") for role in ("ran", "dn")],
        *[("ran", {f"{tool} {option}": 127}, tool, "not found", "real-testbed.md")
          for tool, option in {"nginx": "-v", "ip": "-V", "tc": "-V"}.items()],
        *[("upf", {f"{tool} {option}": 127}, tool, "not found", "make setup")
          for tool, option in {"mpstat": "-V", "pidstat": "-V", "gcc": "--version", "ip": "-V"}.items()],
        *[("dn", {f"{tool} {option}": 127}, tool, "not found", "real-testbed.md")
          for tool, option in {"gst-launch-1.0": "--version", "ip": "-V"}.items()],
        *[
            ("dn", {f"gst-inspect-1.0 --exists {element}": 1}, f"GStreamer's {element}", "not there", "package")
            for element in ("urisourcebin", "souphttpsrc", "dashdemux2", "h264parse")
        ],
        ("dn", {"/opt/python -m upfml.traffic.player --help": 1}, "player (GStreamer from Python)", "not found", ""),
        ("dn", {"ip -json": links(9)}, "N6 10.100.0.3", "192.0.2.9, 10.100.0.9", "address_n6"),
        ("upf", {"uname -r": "5.4.0-216-generic"}, "kernel's version", "5.4.0-216-generic; no ring buffer", "later"),
        ("upf", {"uname -r": "5.8.1"}, "kernel's version", "5.8.1; no XDP links", "later"),
        ("upf", {"uname -r": "5.10.0"}, "kernel's version", "5.10.0; no atomic exchange", "later"),
        ("upf", {"uname -r": 1}, "kernel's version", "unknown; no ring buffer", "later"),
        *[("upf", {"zcat /proc/config.gz": options(option)}, f"CONFIG_{option}", "not set", "kernel")
          for option in ("BPF", "BPF_SYSCALL", "BPF_JIT", "XDP_SOCKETS")],
        *[("upf", {"/opt/python -m upfml.bpf.abilities": unable(step)}, kernel.ABILITIES[step][0], "not permitted", "")
          for step in DECISIVE_ABILITIES],
        ("ran", {"ip -json": links(1, addr_info=[])}, "N3 ens19", "up, without an IPv4 address", "ran.n3"),
        ("upf", {"ip -json": links(2, link("upfgtp"), addr_info=[])}, "N3 ens19", "without an IPv4", "upf.n3"),
        ("ran", {"ip -json": links(1, **DOWN)}, "N3 ens19", "down, 10.100.0.1", "`ip link set dev ens19 up`"),
        ("ran", {"ip -json": links(1, ifname="ens20")}, "N3 ens19", "there are lo, ens18, ens20", "ran.n3"),
        ("ran", {"ip -json": 1}, "N3 ens19", "none at all", "ran.n3"),
        (
            "upf", {"ip -json": links(2, link("upfgtp"), xdp=SAID)}, "XDP on N3",
            "program 7 (xdpdrv), program 8 (xdpgeneric)", "`ip link set dev ens19 xdpdrv off`, `ip link set",
        ),
    ],
)  # fmt: skip
def test_what_is_decisive_fails(role: str, changed: Answers, name: str, found: str, remedy: str) -> None:
    (failed,) = not_ok(check(role, changed))
    assert (failed.check, failed.verdict) == (name, "failed")
    assert found in failed.found
    assert failed.remedy and remedy in failed.remedy


@pytest.mark.parametrize(
    ("role", "changed", "name", "found"),
    [
        *[(role, {"cat /proc/cpuinfo": "processor\t: 0\n" * 3}, "CPUs", "3") for role in FIT],
        *[(role, {"cat /sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet"}, "clock source",
           "hpet") for role in FIT],
        *[(role, {"cat /proc/meminfo": "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB"}, "memory", "4.1 GB, 3.1 GB")
          for role in FIT],
        *[(role, {"cat /proc/meminfo": "MemTotal: 6063304 kB\nMemAvailable: 500000 kB"}, "memory", "0.5 GB free")
          for role in FIT],
        *[(role, {"timedatectl": "no"}, "clock synchronised", "systemd: no") for role in FIT],
        *[(role, {"timedatectl": 1, "chronyc -c tracking": "A,B,0,Not synchronised"}, "clock synchronised",
           "chrony: no") for role in FIT],
        *[(role, {"timedatectl": 127}, "clock synchronised", "neither") for role in FIT],
        *[(role, {f"gst-inspect-1.0 --exists {element}": 1}, f"GStreamer's {element}", "not there")
          for role in ("ran", "dn") for element in ("opusenc", "rtpopuspay", "udpsink")],
        *[("ran", {f"{tool} {option}": 127}, tool, "not found") for tool, option in
          {"curl": "--version", "ITGSend": "-h", "mosquitto_pub": "--version", "gst-launch-1.0": "--version"}.items()],
        *[("dn", {f"{tool} {option}": 127}, tool, "not found")
          for tool, option in {"nginx": "-v", "ITGRecv": "-h", "mosquitto": "-h"}.items()],
        *[(role, {"test -d /proc/net/sctp": 1}, "SCTP", "not loaded") for role in ("ran", "upf")],
        ("ran", {"ps -e -o comm=": "systemd\nnr-gnb"}, "UERANSIM runs", "UERANSIM: nr-gnb"),
        ("ran", {"ip -json": links(1).replace("192.0.2.1", "192.0.2.7").replace("10.100.0.1", "192.0.2.1")},
         "SSH comes in", "by ens19"),
        ("upf", {"ps -e -o comm=": "systemd\neupf"}, "free5GC or Open5GS runs", "none"),
        ("upf", {"ps -e -o comm=": "amf\nsmf\nopen5gs-upfd"}, "free5GC or Open5GS runs", "amf, smf; Open5GS:"),
        ("upf", {"cat /sys/module/gtp5g/version": 1, "modinfo --field version gtp5g": "0.8.3"}, "gtp5g",
         "0.8.3, not loaded"),
        ("upf", {"cat /sys/module/gtp5g/version": 1}, "gtp5g", "not installed"),
        ("upf", {"ip -json": links(2)}, "UPF's GTP device", "none; there are lo, ens18, ens19"),
        ("upf", {"test -r /sys/kernel/btf/vmlinux": 1}, "BTF", "none"),
        ("upf", {"zcat /proc/config.gz": 1}, "kernel configuration", "/boot/config-6.8.0-40-generic"),
        ("upf", {"ip -json": links(2, link("ogstun"), mtu=9000)}, "N3's MTU", "9000 bytes"),
        *[("upf", {"/opt/python -m upfml.bpf.abilities": unable(step)}, kernel.ABILITIES[step][0], "not permitted")
          for step in OTHER_ABILITIES],
        ("upf", {"/opt/python -m upfml.bpf.xdpfeatures ens19": features()}, "XDP modes of N3's driver", "generic only"),
        ("upf", {"/opt/python -m upfml.bpf.xdpfeatures ens19": 1}, "XDP modes of N3's driver", "not found"),
    ],
)  # fmt: skip
def test_what_another_product_may_do_or_only_disturbs_warns(role: str, changed: Answers, name: str, found: str) -> None:
    (warned,) = not_ok(check(role, changed))
    assert (warned.check, warned.verdict) == (name, "warning")
    assert found in warned.found
    assert warned.remedy


@pytest.mark.parametrize("role", FIT)
def test_clock_that_is_off_fails(role: str) -> None:
    (failed,) = not_ok(check(role, offset=ClockOffset(-51_000_000, 0, 200_000)))
    assert (failed.check, failed.verdict) == ("clock against here", "failed")
    assert failed.found == "-51.00 ms, give or take 0.20"
    slow_way = ClockOffset(-51_000_000, 0, 2_000_000)  # it may be 49 ms
    assert not_ok(check(role, offset=slow_way)) == []


@pytest.mark.parametrize("device", [{"ifname": "ogstun2"}, {"ifname": "gtp0", "linkinfo": {"info_kind": "gtp5g"}}])
def test_upfs_device_is_known_by_name_or_kind(device: dict[str, Any]) -> None:
    assert not_ok(check("upf", {"ip -json": links(2, link("x") | device)})) == []


def test_chrony_will_do_without_systemd() -> None:
    assert not_ok(check("upf", {"timedatectl": 1, "chronyc -c tracking": "A,B,0,Normal"})) == []


def test_wanted_native_mode_that_the_driver_does_not_have_fails() -> None:
    answer: Answers = {"/opt/python -m upfml.bpf.xdpfeatures ens19": features("redirect")}
    (failed,) = not_ok(check("upf", answer, xdp_mode="native"))
    assert (failed.check, failed.verdict) == ("XDP modes of N3's driver", "failed")


def test_driver_that_is_not_told_of_is_tried_later() -> None:
    answer: Answers = {"/opt/python -m upfml.bpf.xdpfeatures ens19": features(known=False)}
    assert not_ok(check("upf", answer)) == []
    (warned,) = not_ok(check("upf", answer, xdp_mode="native"))
    assert (warned.verdict, warned.found) == (
        "warning", "virtio_net: unknown until tried (Linux 6.3 and later tell)",
    )  # fmt: skip


def test_ssh_may_share_n3_where_that_is_not_limited() -> None:
    shared = links(1).replace("192.0.2.1", "192.0.2.7").replace("10.100.0.1", "192.0.2.1")
    assert not_ok(check("ran", {"ip -json": shared}, n3_rate_mbit_s=None)) == []


def test_run_that_cannot_start_fails_and_what_needs_it_is_not_tried() -> None:
    def entering() -> AbstractContextManager[Any]:
        raise UserError("another run uses upf", "wait for it")

    run = Runner(FIT["upf"])
    findings = list(of_role(inventory.machines(TESTBED)["upf"], TESTBED, run, entering).findings())
    (failed,) = not_ok(findings)
    assert (failed.check, failed.found, failed.remedy) == ("a run", "another run uses upf", "wait for it")
    assert findings[-1] == failed


def test_machine_that_is_lost_meanwhile_fails() -> None:
    def lost(argv: Sequence[str]) -> CompletedProcess[str]:
        raise UserError("the connection to dn was lost", "run again")

    entered = SimpleNamespace(run=lost, clock_offset=lambda: NEAR)
    machine_there = inventory.machines(TESTBED)["dn"]
    findings = list(of_role(machine_there, TESTBED, Runner(FIT["dn"]), lambda: nullcontext(entered)).findings())
    (failed,) = not_ok(findings)
    assert failed.check == "player (GStreamer from Python)"
    assert "the connection to dn was lost" in failed.found


def test_machine_that_cannot_be_reached_is_one_finding_with_the_remedy_of_ssh() -> None:
    def run(argv: Sequence[str]) -> CompletedProcess[str]:
        return CompletedProcess(argv, 255, "", str(UserError("cannot connect to ran", "start sshd there")))

    host = of_role(inventory.machines(TESTBED)["ran"], TESTBED, run, nullcontext)
    (failed,) = host.findings()
    assert (failed.check, failed.found, failed.remedy) == ("runs commands", "cannot connect to ran", "start sshd there")


PINGED = "3 packets transmitted, 3 received, 0% packet loss, time 402ms\nrtt min/avg/max/mdev = 0.412/0.5/0.6/0.1 ms\n"
UNANSWERED = "3 packets transmitted, 0 received, 100% packet loss, time 402ms\n"


REACHED: CompletedProcess[str] = CompletedProcess([], 0, "", "")


def with_session(
    monkeypatch: pytest.MonkeyPatch, ping: CompletedProcess[str], on_n3: int, knock: CompletedProcess[str] = REACHED
) -> list[provision.Finding]:
    """What is found of a session where ping and knock say this, and so many packets of the ping are seen on N3."""
    monkeypatch.setattr(fiveg, "tapped", lambda *_: nullcontext({"inner_no_ports": on_n3}))
    uplink = SimpleNamespace(teids=[1, 0x2A], device="ens20", next_hop="10.100.1.3")
    bed = SimpleNamespace(
        uplink=uplink, ue_address="10.60.0.1", dn_address="10.100.1.3", n3_device="ens19", upf=None,
        ran=SimpleNamespace(run=lambda _: ping), dn=SimpleNamespace(run=lambda _: knock, python="python3"),
    )  # fmt: skip
    host = provision.CheckedHost("user plane", provision.run_here)
    return list(fiveg.session(host, lambda: nullcontext(bed)))


def test_session_is_told_with_its_tunnel_and_way(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = with_session(monkeypatch, CompletedProcess([], 0, PINGED, ""), 6)
    assert not_ok(findings) == []
    assert [finding.found for finding in findings] == [
        "10.60.0.1", "TEID 0x1, 0x2a on ens19", "10.100.1.3 via ens20, next hop 10.100.1.3",
        "3 of 3 answered, the fastest after 0.412 ms; 6 of its packets seen in GTP-U on N3",
        "10.60.0.1 answers 10.100.1.3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ping", "on_n3", "found"),
    [
        (CompletedProcess([], 1, UNANSWERED, ""), 3, "0 of 3 answered; 3 of its packets seen in GTP-U on N3"),
        (CompletedProcess([], 0, PINGED, ""), 0, "0 of its packets seen in GTP-U on N3"),
        (CompletedProcess([], 127, "", "ping: not found"), 0, "ping: not found"),
    ],
)
def test_ping_that_does_not_go_through_the_tunnel_warns(
    monkeypatch: pytest.MonkeyPatch, ping: CompletedProcess[str], on_n3: int, found: str
) -> None:
    (warned,) = not_ok(with_session(monkeypatch, ping, on_n3))
    assert (warned.check, warned.verdict) == ("ping through the tunnel", "warning")
    assert found in warned.found


def test_ue_that_the_data_network_does_not_reach_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    silent: CompletedProcess[str] = CompletedProcess([], 1, "", "Traceback: ...\nTimeoutError: timed out\n")
    (failed,) = not_ok(with_session(monkeypatch, CompletedProcess([], 0, PINGED, ""), 6, silent))
    assert (failed.check, failed.verdict) == ("data network reaches the UE", "failed")
    assert failed.found == "TimeoutError: timed out"
    assert "ip route add 10.60.0.1 via" in failed.remedy


def test_without_a_session_the_reason_is_told() -> None:
    def entering() -> AbstractContextManager[Any]:
        raise UserError("uesimtun0 is no device on ran", "establish the PDU session")

    (failed,) = fiveg.session(provision.CheckedHost("user plane", provision.run_here), entering)
    assert (failed.check, failed.verdict, failed.remedy) == ("PDU session", "failed", "establish the PDU session")
