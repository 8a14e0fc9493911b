"""What the kernel of a host can do: its configuration, and each thing that the experiment needs, tried once."""

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
    "BPF_JIT": "running them as machine code: interpreted, they would be slower by an order of magnitude",
    "VETH": "the test bed's links",
    "NET_NS": "the test bed's hosts",
    "NET_SCH_INGRESS": "clsact, which holds the GTP-U programs",
    "NET_CLS_BPF": "the GTP-U programs in tc",
    "NET_SCH_TBF": "limiting the rate of N3",
    "XDP_SOCKETS": "the arm afxdp",
}
"""The kernel's configuration that the experiment needs, without CONFIG_, and what for. A module will do."""

ABILITIES: dict[str, tuple[str, str, str]] = {
    "headers": ("kernel headers for BCC", "any version", SET_UP),
    "bcc": ("BCC", "compiles and loads a program", f"{SET_UP}, and a kernel with BPF"),
    "jit": ("BPF JIT", "in use", "sysctl net.core.bpf_jit_enable=1"),
    "test_run": ("BPF_PROG_TEST_RUN", "with metadata (Linux 5.15)", _KERNEL),
    "veth": ("veth in a network namespace", "can be made", _KERNEL),
    "xdp_generic": ("generic XDP on veth", "attaches", _KERNEL),
    "xdp_native": ("native XDP on veth", "attaches", f"none needed for generic XDP, which costs more; or {_KERNEL}"),
    "af_xdp": ("AF_XDP", "sockets can be made", _KERNEL),
    "tc_bpf": ("tc-bpf on veth", "attaches", _KERNEL),
    "tbf": ("tbf on veth", "attaches", _KERNEL),
}
"""Steps of bpf/abilities.py: the check's name, what is wanted, and the remedy."""

_SINCE = {
    (5, 8): "no ring buffer: the training trace cannot be captured",
    (5, 9): "no XDP links: the program of a run that is killed stays on N3",
    (5, 12): "no atomic exchange, which the lock on a flow is made of: no program with a flow table loads",
}
"""What a kernel before a version does not have."""


def version(host: CheckedHost) -> Iterator[Finding]:
    """Whether the kernel is new enough, and what does not work where it is not."""
    release = host.ask("uname", "-r") or "unknown"
    number = re.match(r"(\d+)\.(\d+)", release)
    here = (int(number[1]), int(number[2])) if number else (0, 0)
    lacking = [text for since, text in _SINCE.items() if here < since]
    wanted = "{}.{} or later".format(*max(_SINCE))
    yield host.finding("kernel's version", "; ".join([release, *lacking]), wanted, not lacking, "boot a later kernel")


def options(host: CheckedHost, wanted: Collection[str] = tuple(OPTIONS)) -> Iterator[Finding]:
    """The kernel's configuration, those of OPTIONS that are wanted."""
    release = host.ask("uname", "-r")
    text = host.ask("zcat", "/proc/config.gz") or host.ask("cat", f"/boot/config-{release}")
    if text is None:
        found = f"neither /proc/config.gz nor /boot/config-{release} can be read"
        remedy = "none needed if the abilities below are ok: they try what the configuration promises"
        yield host.finding("kernel configuration", found, "readable", False, remedy, "warning")
        return
    values = dict(re.findall(r"^CONFIG_(\w+)=(\S+)", text, re.MULTILINE))
    for option in wanted:
        value = values.get(option, "not set")
        purpose = f"y or m, for {OPTIONS[option]}"
        yield host.finding(f"CONFIG_{option}", value, purpose, value in ("y", "m"), _KERNEL)


def btf(host: CheckedHost) -> Iterator[Finding]:
    """The kernel's types."""
    there = host.run(["test", "-r", "/sys/kernel/btf/vmlinux"]).returncode == 0
    found = "/sys/kernel/btf/vmlinux" if there else "none"
    remedy = "none needed for BCC's programs; others want a kernel with CONFIG_DEBUG_INFO_BTF"
    yield host.finding("BTF", found, "the kernel's types", there, remedy, "warning")


def abilities(
    host: CheckedHost, wanted: Collection[str] = tuple(ABILITIES), dispensable: Collection[str] = ("xdp_native",)
) -> Iterator[Finding]:
    """Those of ABILITIES that are wanted, as the host tries them. The experiment does without the dispensable ones."""
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
        yield host.finding(name, found, expected, passed, remedy if tried else "mend that first", otherwise)
