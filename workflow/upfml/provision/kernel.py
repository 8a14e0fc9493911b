"""Checks of a host's kernel: its version and configuration, and a trial of each thing that the experiment needs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator

from upfml.provision.checkedhost import SET_UP, CheckedHost
from upfml.provision.finding import Finding, Verdict

_KERNEL = "boot a kernel that has it: Debian's own does"

OPTIONS = {
    "BPF": "programs in the kernel",
    "BPF_SYSCALL": "loading them",
    "BPF_JIT": "running them as machine code; the interpreter is slower by an order of magnitude",
    "VETH": "the test bed's links",
    "NET_NS": "the test bed's hosts",
    "NET_SCH_INGRESS": "clsact, to which the GTP-U programs are attached",
    "NET_CLS_BPF": "the GTP-U programs in tc",
    "NET_SCH_TBF": "limiting the rate of N3",
    "XDP_SOCKETS": "the arm afxdp",
}
"""Kernel options that the experiment needs (without CONFIG_), and what for. A module is enough."""

ABILITIES: dict[str, tuple[str, str, str]] = {
    "headers": ("kernel headers for BCC", "any version", SET_UP),
    "bcc": ("BCC", "compiles and loads a program", f"{SET_UP}, and boot a kernel with BPF"),
    "jit": ("BPF JIT", "in use", "run `sysctl net.core.bpf_jit_enable=1`"),
    "test_run": ("BPF_PROG_TEST_RUN", "with metadata (Linux 5.15)", _KERNEL),
    "veth": ("veth in a network namespace", "can be made", _KERNEL),
    "xdp_generic": ("generic XDP on veth", "attaches", _KERNEL),
    "xdp_native": ("native XDP on veth", "attaches", f"none, if generic XDP will do, which costs more; or {_KERNEL}"),
    "af_xdp": ("AF_XDP", "sockets can be made", _KERNEL),
    "tc_bpf": ("tc-bpf on veth", "attaches", _KERNEL),
    "tbf": ("tbf on veth", "attaches", _KERNEL),
}
"""Steps of bpf/abilities.py: the check's name, what is wanted, and the remedy."""

_SINCE = {
    (5, 8): "no ring buffer: the training trace cannot be captured",
    (5, 9): "no XDP links: if a run is killed, its program stays on N3",
    (5, 12): "no atomic exchange, which the lock on a flow needs: no program with a flow table loads",
}
"""What kernels older than a version lack."""


def version(host: CheckedHost) -> Iterator[Finding]:
    """Whether the kernel is new enough, and what does not work if it is not."""
    release = host.ask("uname", "-r") or "unknown"
    number = re.match(r"(\d+)\.(\d+)", release)
    here = (int(number[1]), int(number[2])) if number else (0, 0)
    lacking = [text for since, text in _SINCE.items() if here < since]
    wanted = "{}.{} or later".format(*max(_SINCE))
    yield host.finding("kernel's version", "; ".join([release, *lacking]), wanted, not lacking, "boot a later kernel")


def options(host: CheckedHost, wanted: Collection[str] = tuple(OPTIONS)) -> Iterator[Finding]:
    """Those options of OPTIONS that are wanted, in the kernel's configuration."""
    release = host.ask("uname", "-r")
    text = host.ask("zcat", "/proc/config.gz") or host.ask("cat", f"/boot/config-{release}")
    if text is None:
        found = f"neither /proc/config.gz nor /boot/config-{release} can be read"
        remedy = "none, if the abilities below are ok: they try what the configuration promises"
        yield host.finding("kernel configuration", found, "readable", False, remedy, "warning")
        return
    values = dict(re.findall(r"^CONFIG_(\w+)=(\S+)", text, re.MULTILINE))
    for option in wanted:
        value = values.get(option, "not set")
        purpose = f"y or m, for {OPTIONS[option]}"
        yield host.finding(f"CONFIG_{option}", value, purpose, value in ("y", "m"), _KERNEL)


def btf(host: CheckedHost) -> Iterator[Finding]:
    """Whether the kernel gives its types."""
    there = host.run(["test", "-r", "/sys/kernel/btf/vmlinux"]).returncode == 0
    found = "/sys/kernel/btf/vmlinux" if there else "none"
    remedy = "none for BCC's programs; other programs need a kernel with CONFIG_DEBUG_INFO_BTF"
    yield host.finding("BTF", found, "the kernel's types", there, remedy, "warning")


def abilities(
    host: CheckedHost, wanted: Collection[str] = tuple(ABILITIES), dispensable: Collection[str] = ("xdp_native",)
) -> Iterator[Finding]:
    """The host tries those of ABILITIES that are wanted. The experiment can do without the dispensable ones."""
    done = host.run([host.python, "-m", "upfml.bpf.abilities"])
    messages = " ".join(done.stderr.split())[-1000:]
    try:
        results = json.loads(done.stdout)
    except ValueError:
        found = f"ended with status {done.returncode}: {messages}"
        yield host.finding("what BCC and the kernel can do", found, "results", False, SET_UP)
        return
    for step in wanted:
        name, expected, remedy = ABILITIES[step]
        passed, tried, found = (results[step][key] for key in ("passed", "tried", "found"))
        if step == "bcc" and tried and not passed:
            found = f"{found}: {messages}"  # BCC prints the reasons past Python
        otherwise: Verdict = "warning" if step in dispensable else "failed"
        yield host.finding(name, found, expected, passed, remedy if tried else "fix that first", otherwise)
