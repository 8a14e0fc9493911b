"""Each check of the provision stage fails for the thing that is wrong, and only that one.

The host is a table of answers: those of a machine that is fit, one of them changed. What a real machine answers is
tested in tests/bpf/test_provision.py.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from upfml import provision
from upfml.base.errors import UserError
from upfml.provision import kernel, machine, tools

PYTHON = "/opt/upfml/bin/python"
BUSY_STAT = "cpu  1000 0 500 0 0 0 0 0 0 0\n"
FIT = {
    "true": "",
    "id -u": "0",
    "sh -c": "Debian GNU/Linux 12 (bookworm)",
    "uname -srm": "Linux 6.1.0-56-amd64 x86_64",
    "uname -r": "6.1.0-56-amd64",
    "cat /proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast CPU\nprocessor\t: 1\nmodel name\t: Fast CPU\n",
    "cat /sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "zcat /proc/config.gz": "".join(f"CONFIG_{option}=y\n" for option in kernel.OPTIONS),
    "test -r /sys/kernel/btf/vmlinux": "",
    f"{PYTHON} -m upfml.bpf.abilities": json.dumps(
        {step: {"passed": True, "tried": True, "found": "yes"} for step in kernel.ABILITIES}
    ),
    f"{PYTHON} -m upfml.traffic.player --help": "usage: python -m upfml.traffic.player",
    "ffmpeg -hide_banner -encoders": " V....D libx264   H.264\n",
    **{f"{tool} {option}": f"{tool} version 12.6.1" for tool, option in tools.TOOLS.items()},
    **{f"gst-inspect-1.0 --exists {element}": "" for element in tools.ELEMENTS},
}


class Answers:
    """A Runner that answers from FIT, but for `changed`: other output, or a status other than 0."""

    def __init__(self, changed: dict[str, str | int] | None = None) -> None:
        self.answers: dict[str, str | int] = FIT | (changed or {})
        self.idle_jiffies = 0

    def __call__(self, argv: Sequence[str]) -> CompletedProcess[str]:
        command = " ".join(argv)
        if command == "cat /proc/stat" and command not in self.answers:
            self.idle_jiffies += 100
            return CompletedProcess(argv, 0, f"cpu  0 0 0 {self.idle_jiffies} 0 0 0 0 0 0\n", "")
        answer = self.answers.get(command, self.answers.get(" ".join(argv[:2]), 127))
        if isinstance(answer, int):
            return CompletedProcess(argv, answer, "", f"{argv[0]}: not found")
        return CompletedProcess(argv, 0, answer, "")


def unable(step: str, found: str) -> str:
    return json.dumps(
        json.loads(FIT[f"{PYTHON} -m upfml.bpf.abilities"]) | {step: {"passed": False, "tried": True, "found": found}}
    )


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "IDLE_OVER_S", 0.0)


def check(changed: dict[str, str | int] | None = None) -> provision.Findings:
    return provision.check([provision.CheckedHost("upf", Answers(changed), provision.HERE, PYTHON)])


def test_fit_host_passes() -> None:
    report = check()
    assert {finding.verdict for finding in report.findings} == {"ok"}
    report.raise_if_failed()
    found = {finding.check: finding.found for finding in report.findings}
    assert found["CPUs"] == "2 x Fast CPU"
    assert found["idle CPU"] == "100.0%"
    assert found["gst-launch-1.0"] == "12.6.1"


def without(option: str) -> dict[str, str | int]:
    return {"zcat /proc/config.gz": FIT["zcat /proc/config.gz"].replace(f"CONFIG_{option}=y", f"# CONFIG_{option} off")}


@pytest.mark.parametrize(
    ("changed", "name", "found"),
    [
        ({"id -u": "1000"}, "root", "user 1000"),
        ({"uname -srm": 255}, "kernel", "unknown"),
        *[(without(option), f"CONFIG_{option}", "not set") for option in kernel.OPTIONS],
        *[
            ({f"{PYTHON} -m upfml.bpf.abilities": unable(step, "Operation not permitted")}, name, "not permitted")
            for step, (name, _, _) in kernel.ABILITIES.items()
            if step != "xdp_native"
        ],
        *[({f"{tool} {option}": 127}, tool, f"{tool}: not found") for tool, option in tools.TOOLS.items()],
        ({"mpstat -V": "no version"}, "mpstat", "status 0"),
        ({"ffmpeg -hide_banner -encoders": " V....D mpeg4\n"}, "ffmpeg's encoder libx264", "not there"),
        *[
            ({f"gst-inspect-1.0 --exists {element}": 1}, f"GStreamer's {element}", "not there")
            for element in tools.ELEMENTS
        ],
        ({f"{PYTHON} -m upfml.traffic.player --help": 1}, "player (GStreamer from Python)", "not found"),
    ],
)
def test_what_is_wrong_fails(changed: dict[str, str | int], name: str, found: str) -> None:
    report = check(changed)
    (failed,) = [finding for finding in report.findings if finding.verdict != "ok"]
    assert (failed.host, failed.check, failed.verdict) == ("upf", name, "failed")
    assert found in failed.found
    assert failed.remedy
    with pytest.raises(UserError, match=re.escape(f"{name}: ")) as error:
        report.raise_if_failed()
    assert failed.remedy in str(error.value)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"cat /proc/stat": BUSY_STAT}, "idle CPU"),
        ({"cat /proc/stat": 1}, "idle CPU"),
        ({"cat /proc/cpuinfo": "processor\t: 0\n"}, "CPUs"),
        ({"cat /sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet"}, "clock source"),
        ({"zcat /proc/config.gz": 1}, "kernel configuration"),
        ({"test -r /sys/kernel/btf/vmlinux": 1}, "BTF"),
        ({f"{PYTHON} -m upfml.bpf.abilities": unable("xdp_native", "Operation not supported")}, "native XDP on veth"),
    ],
)
def test_what_only_disturbs_warns(changed: dict[str, str | int], name: str) -> None:
    report = check(changed)
    (warned,) = [finding for finding in report.findings if finding.verdict != "ok"]
    assert (warned.check, warned.verdict) == (name, "warning")
    assert warned.remedy
    report.raise_if_failed()


def test_configuration_is_read_from_boot_too() -> None:
    report = check({"zcat /proc/config.gz": 1, "cat /boot/config-6.1.0-56-amd64": "CONFIG_BPF=y\n"})
    verdicts = {finding.check: finding.verdict for finding in report.findings}
    assert verdicts["CONFIG_BPF"] == "ok"
    assert verdicts["CONFIG_VETH"] == "failed"


def test_a_probe_that_dies_fails_once() -> None:
    report = check({f"{PYTHON} -m upfml.bpf.abilities": 139})
    (failed,) = [finding for finding in report.findings if finding.verdict != "ok"]
    assert (failed.check, failed.verdict) == ("what BCC and the kernel can do", "failed")
    assert "139" in failed.found


def test_host_that_does_not_answer_fails() -> None:
    hosts = {"upf": Answers(), "dn": lambda argv: CompletedProcess(argv, 255, "", "no route to host")}
    report = provision.check(provision.CheckedHost(name, run, provision.HERE, PYTHON) for name, run in hosts.items())
    (failed,) = [finding for finding in report.findings if finding.verdict != "ok"]
    assert (failed.host, failed.check, failed.found) == ("dn", "runs commands", "no route to host")


def test_idle_is_idle_and_waiting_for_disk() -> None:
    before = "cpu  100 0 100 1000 0 0 0 0 0 0\ncpu0 1 1 1 1\n"
    after = "cpu  110 0 110 1060 10 0 5 5 0 0\ncpu0 2 2 2 2\n"
    assert provision.idle_pct(before, after) == pytest.approx(70.0)
    assert provision.idle_pct(before, before) == 0.0


def test_report_is_written_for_programs_and_people(tmp_path: Path) -> None:
    report = check({"mpstat -V": 127, "test -r /sys/kernel/btf/vmlinux": 1})
    paths = [tmp_path / f"provision.{kind}" for kind in ("json", "txt", "html")]
    report.write(*paths)
    assert provision.Findings.read(paths[0]) == report
    assert set(json.loads(paths[0].read_text())[0]) == {"host", "check", "found", "wanted", "verdict", "remedy"}
    text = paths[1].read_text()
    assert "failed   mpstat" in text
    assert "failed: upf: mpstat: mpstat: not found. Remedy: " in text
    assert "warning: upf: BTF: none. Remedy: " in text
    assert text.endswith("1 warning, 1 failed\n")
    page = paths[2].read_text()
    assert '<tr class="failed"><td>failed</td><td>mpstat</td><td>mpstat: not found</td>' in page
    assert '<tr class="warning"><td>warning</td><td>BTF</td>' in page


def test_page_needs_nothing_else_and_takes_no_markup_from_a_host() -> None:
    evil = "<script src='https://example.org/x.js'></script>"
    page = check({"mpstat -V": evil, "sh -c": evil}).page()
    assert "&lt;script src=&#x27;https:" in page
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(", page)


def test_run_here_tells_a_missing_command_from_a_failing_one() -> None:
    assert provision.run_here(["upfml-no-such-command"]).returncode == 127
    assert provision.run_here(["false"]).returncode == 1
