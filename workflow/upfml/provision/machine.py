"""What a machine is, whoever it is for: its system, CPUs and clock source, and whether it is idle."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from upfml.provision.finding import Finding
from upfml.provision.host import Host

IDLE_OVER_S = 2.0
IDLE_WANTED_PCT = 90.0
CPUS_WANTED = 2
CLOCK_SOURCES_WANTED = ("tsc", "arch_sys_counter")
"""Those that are read without leaving user space or trapping into a hypervisor, in tens of nanoseconds."""


def idle(host: Host) -> Iterator[Finding]:
    """The idle share of all CPUs. It is to come before the checks that make the machine busy."""
    remedy = "stop what else runs there (see `top`): it disturbs every measurement"
    before = host.ask("cat", "/proc/stat")
    time.sleep(IDLE_OVER_S)
    after = host.ask("cat", "/proc/stat")
    wanted = f"at least {IDLE_WANTED_PCT:.0f}% over {IDLE_OVER_S:.0f} s"
    if before is None or after is None:
        yield host.finding("idle CPU", "/proc/stat cannot be read", wanted, False, "mount /proc", "warning")
        return
    share = idle_pct(before, after)
    yield host.finding("idle CPU", f"{share:.1f}%", wanted, share >= IDLE_WANTED_PCT, remedy, "warning")


def root(host: Host) -> Iterator[Finding]:
    """Whether commands run as root."""
    user = host.ask("id", "-u")
    found = "no answer" if user is None else f"user {user}"
    yield host.finding("root", found, "user 0", user == "0", "run as root: BPF and namespaces need it")


def system(host: Host) -> Iterator[Finding]:
    """Distribution, kernel, CPUs."""
    distribution = host.ask("sh", "-c", '. /etc/os-release && echo "$PRETTY_NAME"')
    yield host.finding("system", distribution or "unknown", "", True, "")
    kernel = host.ask("uname", "-srm")
    yield host.finding("kernel", kernel or "unknown", "", kernel is not None, "see why `uname` fails there")
    text = host.ask("cat", "/proc/cpuinfo") or ""
    cpus = re.findall(r"^processor\s*:", text, re.MULTILINE)
    model = re.search(r"^model name\s*:\s*(.+)", text, re.MULTILINE)
    found = f"{len(cpus)}" + (f" x {model[1]}" if model else "")
    wanted = f"at least {CPUS_WANTED}"
    remedy = "use a machine with more: traffic and classifier would compete for one"
    yield host.finding("CPUs", found, wanted, len(cpus) >= CPUS_WANTED, remedy, "warning")


def clock_source(host: Host) -> Iterator[Finding]:
    """What the kernel reads the time from."""
    source = host.ask("cat", "/sys/devices/system/clocksource/clocksource0/current_clocksource")
    remedy = "boot with clocksource=tsc if the CPU's is stable: others cost up to microseconds a reading"
    wanted = " or ".join(CLOCK_SOURCES_WANTED)
    yield host.finding("clock source", source or "unknown", wanted, source in CLOCK_SOURCES_WANTED, remedy, "warning")


def idle_pct(before: str, after: str) -> float:
    """The idle share of all CPUs' time between two texts of /proc/stat, in percent (proc(5): idle and iowait)."""
    first, second = ([int(jiffies) for jiffies in text.splitlines()[0].split()[1:9]] for text in (before, after))
    spent = [late - early for early, late in zip(first, second, strict=True)]
    return 100 * (spent[3] + spent[4]) / max(sum(spent), 1)
