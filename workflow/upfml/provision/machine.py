"""Checks for a machine of any role: its system, CPUs, memory, disk and clock source, and whether it is idle."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Iterator

from upfml.provision.checkedhost import CheckedHost
from upfml.provision.finding import Finding

IDLE_OVER_S = 2.0
IDLE_WANTED_PCT = 90.0
CPUS_WANTED, CPUS_OF_THE_PAPER = 2, 4
MEMORY_OF_THE_PAPER_GB = 6
FREE_MEMORY_WANTED_GB = 1.0
FREE_DISK_WANTED_GB = 1.0
CLOCK_SOURCES_WANTED = ("tsc", "arch_sys_counter")
"""A reading of these takes tens of nanoseconds. It neither leaves user space nor traps into a hypervisor."""

_FREE = """
there=$1
while [ ! -d "$there" ]; do there=$(dirname "$there"); done
df --block-size=1 --output=avail,target "$there" | tail -n 1 | sed 's/^ *//; s/  */ /'
"""


def idle(host: CheckedHost) -> Iterator[Finding]:
    """The idle share of all CPUs. It must run before the checks that make the machine busy."""
    remedy = "stop the other programs there (see `top`): they disturb every measurement"
    before = host.ask("cat", "/proc/stat")
    time.sleep(IDLE_OVER_S)
    after = host.ask("cat", "/proc/stat")
    wanted = f"at least {IDLE_WANTED_PCT:.0f}% over {IDLE_OVER_S:.0f} s"
    if before is None or after is None:
        yield host.finding("idle CPU", "/proc/stat cannot be read", wanted, False, "mount /proc", "warning")
        return
    share = idle_pct(before, after)
    yield host.finding("idle CPU", f"{share:.1f}%", wanted, share >= IDLE_WANTED_PCT, remedy, "warning")


def root(host: CheckedHost) -> Iterator[Finding]:
    """Whether commands run as root."""
    user = host.ask("id", "-u")
    found = "no answer" if user is None else f"user {user}"
    yield host.finding("root", found, "user 0", user == "0", "run as root: BPF and namespaces need it")


def system(host: CheckedHost, cpus_wanted: int = CPUS_WANTED) -> Iterator[Finding]:
    """Distribution, kernel, CPUs."""
    distribution = host.ask("sh", "-c", '. /etc/os-release && echo "$PRETTY_NAME"')
    yield host.finding("system", distribution or "unknown", "", True, "")
    kernel = host.ask("uname", "-srm")
    yield host.finding("kernel", kernel or "unknown", "", kernel is not None, "see why `uname` fails there")
    text = host.ask("cat", "/proc/cpuinfo") or ""
    cpus = re.findall(r"^processor\s*:", text, re.MULTILINE)
    model = re.search(r"^model name\s*:\s*(.+)", text, re.MULTILINE)
    found = f"{len(cpus)}" + (f" x {model[1]}" if model else "")
    wanted = f"at least {cpus_wanted}"
    remedy = "use a machine with more CPUs: traffic and classifier would compete for these"
    yield host.finding("CPUs", found, wanted, len(cpus) >= cpus_wanted, remedy, "warning")


def clock_source(host: CheckedHost) -> Iterator[Finding]:
    """Where the kernel gets the time from."""
    source = host.ask("cat", "/sys/devices/system/clocksource/clocksource0/current_clocksource")
    remedy = "boot with clocksource=tsc if the CPU's TSC is stable: other sources take up to microseconds a reading"
    wanted = " or ".join(CLOCK_SOURCES_WANTED)
    yield host.finding("clock source", source or "unknown", wanted, source in CLOCK_SOURCES_WANTED, remedy, "warning")


def memory(host: CheckedHost) -> Iterator[Finding]:
    """Memory, compared with the paper's machines."""
    text = host.ask("cat", "/proc/meminfo") or ""
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    total, free = (kib.get(name, 0) * 1024 / 1e9 for name in ("MemTotal", "MemAvailable"))
    # The kernel keeps some memory for itself, always less than a tenth.
    ok = total >= 0.9 * MEMORY_OF_THE_PAPER_GB and free >= FREE_MEMORY_WANTED_GB
    wanted = f"{MEMORY_OF_THE_PAPER_GB} GB as in the paper, {FREE_MEMORY_WANTED_GB:.0f} GB of it free"
    remedy = "give the machine more, or stop what uses it (see `top`): a machine that swaps measures its disk"
    yield host.finding("memory", f"{total:.1f} GB, {free:.1f} GB free", wanted, ok, remedy, "warning")


def architecture(host: CheckedHost) -> Iterator[Finding]:
    """Whether the machine runs what is compiled here: the URLLC sender."""
    there, here = host.ask("uname", "-m"), platform.machine()
    remedy = f"use a machine with {here}, or run the workflow on one with {there}: the URLLC sender is compiled here"
    yield host.finding("architecture", there or "unknown", f"{here}, as here", there == here, remedy)


def python(host: CheckedHost, wanted: tuple[int, int], remedy: str) -> Iterator[Finding]:
    """The interpreter's version."""
    answer = host.run([host.python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])
    version = answer.stdout.strip()
    ok = answer.returncode == 0 and tuple(map(int, version.split(".")[:2])) >= wanted
    found = f"{host.python}: {version or ' '.join(answer.stderr.split())[-200:] or f'status {answer.returncode}'}"
    yield host.finding("Python", found, ".".join(map(str, wanted)) + " or later", ok, remedy)


def disk(host: CheckedHost, folder: str) -> Iterator[Finding]:
    """Free space for a run's files: in `folder`, or in the folder where it would be made."""
    answer = host.ask("sh", "-c", _FREE, "sh", folder)
    free, _, mounted = (answer or "").partition(" ")
    bytes_free = int(free) if free.isdigit() else 0
    found = f"{bytes_free / 1e9:.1f} GB free on {mounted}" if answer else "unknown"
    wanted = f"{FREE_DISK_WANTED_GB:.0f} GB"
    remedy = "free space there, or set testbed.machines.folder to a folder on a disk with room"
    ok = bytes_free >= FREE_DISK_WANTED_GB * 1e9
    yield host.finding(f"disk for {folder}", found, wanted, ok, remedy)


def idle_pct(before: str, after: str) -> float:
    """The idle share of all CPUs' time between two texts of /proc/stat, in percent (proc(5): idle and iowait)."""
    first, second = ([int(jiffies) for jiffies in text.splitlines()[0].split()[1:9]] for text in (before, after))
    spent = [late - early for early, late in zip(first, second, strict=True)]
    return 100 * (spent[3] + spent[4]) / max(sum(spent), 1)
