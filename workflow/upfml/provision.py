"""Check that every machine of the test bed is fit for the experiment, and record what it is.

In: for each host a `Runner`, a way to run a command there. Out: a `Report`: what was found, what is wanted, a verdict
and a remedy. Nothing here assumes that a host is this machine: files are read through `cat`, and what the kernel can
do is tried by a program (trial.py) that the runner starts on the host, where `make setup` has put it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from upfml import tables
from upfml.errors import UserError

Runner = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
"""Runs a command on a host and returns its status (127: there is no such command, as a shell says it) and texts."""

Verdict = Literal["ok", "warning", "failed"]

IDLE_OVER_S = 2.0
IDLE_WANTED_PCT = 90.0
CPUS_WANTED = 2
CLOCK_SOURCES_WANTED = ("tsc", "arch_sys_counter")
"""Those that are read without leaving user space or trapping into a hypervisor, in tens of nanoseconds."""

_SET_UP = "run `make setup` as root"
_KERNEL = "boot a kernel that has it: Debian's own does"

KERNEL_OPTIONS = {
    "BPF": "programs in the kernel",
    "BPF_SYSCALL": "loading them",
    "BPF_JIT": "running them as machine code: interpreted, they would be slower by an order of magnitude",
    "VETH": "the test bed's links",
    "NET_NS": "the test bed's hosts",
    "NET_SCH_INGRESS": "clsact, which holds the GTP-U programs",
    "NET_CLS_BPF": "the GTP-U programs in tc",
    "NET_SCH_TBF": "limiting the rate of N3",
    "XDP_SOCKETS": "the arm afxdp",
}
"""The kernel's configuration that the experiment needs, without CONFIG_, and what for. A module will do."""

TRIALS: dict[str, tuple[str, str, str]] = {
    "headers": ("kernel headers for BCC", "any version", _SET_UP),
    "bcc": ("BCC", "compiles and loads a program", f"{_SET_UP}, and a kernel with BPF"),
    "jit": ("BPF JIT", "in use", "sysctl net.core.bpf_jit_enable=1"),
    "test_run": ("BPF_PROG_TEST_RUN", "with metadata (Linux 5.15)", _KERNEL),
    "veth": ("veth in a network namespace", "can be made", _KERNEL),
    "xdp_generic": ("generic XDP on veth", "attaches", _KERNEL),
    "xdp_native": ("native XDP on veth", "attaches", f"none needed for generic XDP, which costs more; or {_KERNEL}"),
    "af_xdp": ("AF_XDP", "sockets can be made", _KERNEL),
    "tc_bpf": ("tc-bpf on veth", "attaches", _KERNEL),
    "tbf": ("tbf on veth", "attaches", _KERNEL),
}
"""Steps of trial.py: the check's name, what is wanted, and the remedy."""
_DISPENSABLE = ("xdp_native",)
"""Steps without which the experiment runs, too."""

TOOLS = {  # and how each is asked for its version
    "mpstat": "-V",
    "pidstat": "-V",
    "nginx": "-v",
    "ffmpeg": "-version",
    "gst-launch-1.0": "--version",
    "gcc": "--version",
    "nsenter": "--version",
    "curl": "--version",
    "ITGSend": "-h",
    "mosquitto": "-h",
    "mosquitto_pub": "--version",
}

GSTREAMER_ELEMENTS = {  # of playbin3 for a DASH stream of H.264 over HTTP, of calls, and Debian's package of each
    "playbin3": "gstreamer1.0-plugins-base",
    "videoconvert": "gstreamer1.0-plugins-base",
    "souphttpsrc": "gstreamer1.0-plugins-good",
    "dashdemux2": "gstreamer1.0-plugins-good",
    "qtdemux": "gstreamer1.0-plugins-good",
    "deinterlace": "gstreamer1.0-plugins-good",
    "h264parse": "gstreamer1.0-plugins-bad",
    "avdec_h264": "gstreamer1.0-libav",
    "opusenc": "gstreamer1.0-plugins-base",
    "rtpopuspay": "gstreamer1.0-plugins-good",
    "udpsink": "gstreamer1.0-plugins-good",
}


@dataclass(frozen=True)
class Finding:
    """One check on one host. `remedy` is empty when the verdict is ok."""

    host: str
    check: str
    found: str
    wanted: str
    verdict: Verdict
    remedy: str


@dataclass(frozen=True)
class Report:
    """All findings, host by host in the order of the checks."""

    findings: tuple[Finding, ...]

    def write(self, json_path: Path | str, text_path: Path | str) -> None:
        """Write the findings as JSON for programs and as text for people."""
        tables.write_json([asdict(finding) for finding in self.findings], json_path)
        with tables.whole_file(Path(text_path)) as partial:
            partial.write_text(self.text())

    def text(self) -> str:
        """A table for each host, then the remedies of the warnings (those of failures: `raise_if_failed`)."""
        lines: list[str] = []
        width = max((len(finding.check) for finding in self.findings), default=0)
        for host in dict.fromkeys(finding.host for finding in self.findings):
            lines += [host, "-" * len(host)]
            for finding in self.findings:
                if finding.host == host:
                    wanted = "" if finding.verdict == "ok" else f"   (wanted: {finding.wanted})"
                    lines.append(f"{finding.verdict:<8} {finding.check:<{width}}  {finding.found}{wanted}")
            lines.append("")
        lines += [_remedy(finding) for finding in self.findings if finding.verdict == "warning"]
        return "\n".join(lines).rstrip() + "\n"

    def raise_if_failed(self) -> None:
        """Raise UserError that names every failed check, with its remedy."""
        failed = [finding for finding in self.findings if finding.verdict == "failed"]
        if failed:
            hosts = ", ".join(dict.fromkeys(finding.host for finding in failed))
            raise UserError(
                "\n  ".join([f"{hosts} cannot run the experiment:", *map(_remedy, failed)]),
                "mend each as it says above, and run again",
            )


def _remedy(finding: Finding) -> str:
    return f"{finding.verdict}: {finding.host}: {finding.check}: {finding.found}. Remedy: {finding.remedy}"


def run_here(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The Runner for this machine."""
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, "", f"{argv[0]}: not found")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"{argv[0]}: no answer in 60 s")


def hosts(testbed: str) -> dict[str, Runner]:
    """The machines of a test bed. The three hosts of `namespaces` are this one machine."""
    testbeds: dict[str, dict[str, Runner]] = {"namespaces": {"this machine": run_here}}
    return testbeds[testbed]


def check(hosts: Mapping[str, Runner], python: str = sys.executable) -> Report:
    """Check every host. `python` is the interpreter there that has this package and BCC."""
    return Report(tuple(finding for host, run in hosts.items() for finding in _Host(host, run, python).findings()))


@dataclass(frozen=True)
class _Host:
    """The checks of one host. Idle CPU comes first, before the checks themselves make the machine busy."""

    name: str
    run: Runner
    python: str

    def findings(self) -> Iterator[Finding]:
        answer = self.run(["true"])
        if answer.returncode != 0:
            found = answer.stderr.strip() or f"status {answer.returncode}"
            yield self.finding("runs commands", found, "yes", False, "mend the way to that host")
            return
        yield self.idle()
        yield self.root()
        yield from self.machine()
        yield self.clock_source()
        yield from self.kernel_options()
        yield self.btf()
        yield from self.trials()
        for tool, option in TOOLS.items():
            yield self.tool(tool, option)
        yield self.encoder()
        for element, package in GSTREAMER_ELEMENTS.items():
            yield self.gstreamer_element(element, package)
        yield self.player()

    def finding(
        self, check: str, found: str, wanted: str, ok: bool, remedy: str, otherwise: Verdict = "failed"
    ) -> Finding:
        """A finding that is ok or `otherwise`."""
        return Finding(self.name, check, found, wanted, "ok" if ok else otherwise, "" if ok else remedy)

    def ask(self, *argv: str) -> str | None:
        """What a command prints, stripped; None when it fails."""
        done = self.run(argv)
        return done.stdout.strip() if done.returncode == 0 else None

    def idle(self) -> Finding:
        remedy = "stop what else runs there (see `top`): it disturbs every measurement"
        before = self.ask("cat", "/proc/stat")
        time.sleep(IDLE_OVER_S)
        after = self.ask("cat", "/proc/stat")
        wanted = f"at least {IDLE_WANTED_PCT:.0f}% over {IDLE_OVER_S:.0f} s"
        if before is None or after is None:
            return self.finding("idle CPU", "/proc/stat cannot be read", wanted, False, "mount /proc", "warning")
        idle = idle_pct(before, after)
        return self.finding("idle CPU", f"{idle:.1f}%", wanted, idle >= IDLE_WANTED_PCT, remedy, "warning")

    def root(self) -> Finding:
        user = self.ask("id", "-u")
        found = "no answer" if user is None else f"user {user}"
        return self.finding("root", found, "user 0", user == "0", "run as root: BPF and namespaces need it")

    def machine(self) -> Iterator[Finding]:
        system = self.ask("sh", "-c", '. /etc/os-release && echo "$PRETTY_NAME"')
        yield self.finding("system", system or "unknown", "", True, "")
        kernel = self.ask("uname", "-srm")
        yield self.finding("kernel", kernel or "unknown", "", kernel is not None, "see why `uname` fails there")
        text = self.ask("cat", "/proc/cpuinfo") or ""
        cpus = re.findall(r"^processor\s*:", text, re.MULTILINE)
        model = re.search(r"^model name\s*:\s*(.+)", text, re.MULTILINE)
        found = f"{len(cpus)}" + (f" x {model[1]}" if model else "")
        wanted = f"at least {CPUS_WANTED}"
        remedy = "use a machine with more: traffic and classifier would compete for one"
        yield self.finding("CPUs", found, wanted, len(cpus) >= CPUS_WANTED, remedy, "warning")

    def clock_source(self) -> Finding:
        source = self.ask("cat", "/sys/devices/system/clocksource/clocksource0/current_clocksource")
        remedy = "boot with clocksource=tsc if the CPU's is stable: others cost up to microseconds a reading"
        wanted = " or ".join(CLOCK_SOURCES_WANTED)
        return self.finding(
            "clock source", source or "unknown", wanted, source in CLOCK_SOURCES_WANTED, remedy, "warning"
        )

    def kernel_options(self) -> Iterator[Finding]:
        release = self.ask("uname", "-r")
        text = self.ask("zcat", "/proc/config.gz") or self.ask("cat", f"/boot/config-{release}")
        if text is None:
            found = f"neither /proc/config.gz nor /boot/config-{release} can be read"
            remedy = "none needed if the trials below are ok: they try what the configuration promises"
            yield self.finding("kernel configuration", found, "readable", False, remedy, "warning")
            return
        values = dict(re.findall(r"^CONFIG_(\w+)=(\S+)", text, re.MULTILINE))
        for option, purpose in KERNEL_OPTIONS.items():
            value = values.get(option, "not set")
            wanted = f"y or m, for {purpose}"
            yield self.finding(f"CONFIG_{option}", value, wanted, value in ("y", "m"), _KERNEL)

    def btf(self) -> Finding:
        there = self.run(["test", "-r", "/sys/kernel/btf/vmlinux"]).returncode == 0
        found = "/sys/kernel/btf/vmlinux" if there else "none"
        remedy = "none needed for BCC's programs; others want a kernel with CONFIG_DEBUG_INFO_BTF"
        return self.finding("BTF", found, "the kernel's types", there, remedy, "warning")

    def trials(self) -> Iterator[Finding]:
        done = self.run([self.python, "-m", "upfml.trial"])
        messages = " ".join(done.stderr.split())[-1000:]
        try:
            results = json.loads(done.stdout)
        except ValueError:
            found = f"ended with status {done.returncode}: {messages}"
            yield self.finding("trial of BCC and the kernel", found, "results", False, _SET_UP)
            return
        for step, (name, wanted, remedy) in TRIALS.items():
            passed, tried, found = (results[step][key] for key in ("passed", "tried", "found"))
            if step == "bcc" and tried and not passed:
                found = f"{found}: {messages}"  # BCC prints the reasons past Python
            otherwise: Verdict = "warning" if step in _DISPENSABLE else "failed"
            yield self.finding(name, found, wanted, passed, remedy if tried else "mend that first", otherwise)

    def tool(self, name: str, version_option: str) -> Finding:
        done = self.run([name, version_option])
        version = re.search(r"\d+(\.\d+)+", (done.stdout + done.stderr).replace(name, ""))
        # Some tools tell their version with another status than 0; 127 is the shell's "no such command".
        ok = done.returncode < 124 and version is not None
        found = version[0] if ok and version else done.stderr.strip() or f"status {done.returncode}"
        return self.finding(name, found, "any version", ok, _SET_UP)

    def encoder(self) -> Finding:
        ok = "libx264" in (self.ask("ffmpeg", "-hide_banner", "-encoders") or "")
        remedy = f"{_SET_UP}, or install an ffmpeg that has it"
        return self.finding("ffmpeg's encoder libx264", "there" if ok else "not there", "there", ok, remedy)

    def gstreamer_element(self, element: str, package: str) -> Finding:
        ok = self.run(["gst-inspect-1.0", "--exists", element]).returncode == 0
        remedy = f"{_SET_UP}: it is in package {package} (1.22 or newer)"
        return self.finding(f"GStreamer's {element}", "there" if ok else "not there", "there", ok, remedy)

    def player(self) -> Finding:
        done = self.run([self.python, "-m", "upfml.traffic.player", "--help"])
        found = "starts" if done.returncode == 0 else " ".join(done.stderr.split())[-200:]
        return self.finding("player (GStreamer from Python)", found, "starts", done.returncode == 0, _SET_UP)


def idle_pct(before: str, after: str) -> float:
    """The idle share of all CPUs' time between two texts of /proc/stat, in percent (proc(5): idle and iowait)."""
    first, second = ([int(jiffies) for jiffies in text.splitlines()[0].split()[1:9]] for text in (before, after))
    spent = [late - early for early, late in zip(first, second, strict=True)]
    return 100 * (spent[3] + spent[4]) / max(sum(spent), 1)
