"""The UPF's own CPUs, on a machine that it shares with the traffic: everything else is moved off them, and back.

Moved are all tasks that let themselves be moved, interrupts, work queues that belong to no CPU, and timers. What stays
is bound to its CPU (ksoftirqd, kworker/1:0, …); a run counts what it does there. What is to be given back stands in a
file, so that whoever finds the file of a killed run can do it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from upfml.base.errors import UserError

_PASSES = 5
"""Over all tasks: one that was forked while the others were moved is found in the next."""
_PROC = Path("/proc")
_WORK_QUEUES = Path("/sys/devices/virtual/workqueue/cpumask")
_TIMER_MIGRATION = _PROC / "sys/kernel/timer_migration"
"""Where it is on, an idle CPU hands its timers to a busy one: the traffic's to the UPF."""


@dataclass(frozen=True)
class Split:
    """Which CPUs are the UPF's own, and which are left for everything else."""

    upf: tuple[int, ...]
    others: tuple[int, ...]


def split(wanted: Sequence[int] | None) -> Split | None:
    """The configuration's `testbed.cpus` on this machine; None: the upper half. No CPU named: they are shared, None.

    Raises UserError when a CPU is not there, or none is left.
    """
    if wanted is not None and not wanted:
        return None
    here = online()
    upf = tuple(here[len(here) // 2 :] if wanted is None else sorted(set(wanted)))
    others = tuple(cpu for cpu in here if cpu not in upf)
    words = ", ".join(map(str, here))
    if missing := [cpu for cpu in upf if cpu not in here]:
        raise UserError(f"testbed.cpus names CPU {missing[0]}, and this machine has {words}", "name CPUs of these")
    if not others:
        raise UserError(
            f"the UPF's CPUs leave none for the traffic: this machine has {words}",
            "leave one out of testbed.cpus; testbed.cpus: [] shares them all",
        )
    return Split(upf, others)


def online() -> list[int]:
    """The machine's CPUs, rather than those of this process: a killed run may have left it fewer."""
    ranges = [part.split("-") for part in Path("/sys/devices/system/cpu/online").read_text().strip().split(",")]
    return [cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1)]


def mask(cpus: Collection[int]) -> str:
    """As the kernel reads masks of CPUs: hexadecimal words of 32 bits, the highest first, with commas between them."""
    bits = sum(1 << cpu for cpu in cpus)
    words: list[str] = []
    while bits or not words:
        words.append(f"{bits & 0xFFFFFFFF:08x}")
        bits >>= 32
    return ",".join(reversed(words))


def take(cpus: Split, note: Path) -> None:
    """Move everything that lets itself be moved off the UPF's CPUs. `note` is written first, for `give_back`."""
    tasks = {task: _affinity(task) for task in _tasks()}
    wanted = _kept_off(cpus)
    files = {str(path): text for path in wanted if (text := _read(path))}
    note.write_text(
        json.dumps({
            "others": cpus.others,
            "tasks": [[*task, sorted(affinity)] for task, affinity in tasks.items() if affinity],
            "files": files,
        })
    )  # fmt: skip
    for path in files:
        _write(Path(path), wanted[Path(path)])
    upf = set(cpus.upf)
    for _ in range(_PASSES):
        moved = [_move(task, affinity - upf) for task in _tasks() if (affinity := _affinity(task)) & upf]
        if not any(moved):
            return


def give_back(note: Path) -> None:
    """Undo `take`, as far as what it moved is still there and still where it was moved to. Removes the note."""
    if not note.exists():
        return
    with contextlib.suppress(ValueError):  # killed while it wrote, before it moved anything
        had = json.loads(note.read_text())
        others = set(had["others"])
        before = {(number, began): set(affinity) for number, began, affinity in had["tasks"]}
        everything = set().union(*before.values())
        for task in _tasks():
            # A task that has begun since then has its affinity from one that was moved.
            if _affinity(task) == (before.get(task, everything) & others):
                _move(task, before.get(task, everything))
        for path, text in had["files"].items():
            _write(Path(path), text)
    note.unlink()


Task = tuple[int, int]
"""Its number, and when it began, in ticks since boot: numbers are used again."""


def _tasks() -> Iterator[Task]:
    for folder in _PROC.glob("[0-9]*/task/[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            yield int(folder.name), int(after_name[19])  # proc(5): starttime, field 22


def _affinity(task: Task) -> set[int]:
    with contextlib.suppress(OSError):
        return os.sched_getaffinity(task[0])
    return set()


def _move(task: Task, cpus: Collection[int]) -> bool:
    if not cpus:
        return False
    with contextlib.suppress(OSError):  # bound to its CPU (EINVAL), or ended
        os.sched_setaffinity(task[0], cpus)
        return True
    return False


def _kept_off(cpus: Split) -> dict[Path, str]:
    """What keeps interrupts, unbound work queues and timers off the UPF's CPUs, by the file that it is written to."""
    masks = [*_PROC.glob("irq/*/smp_affinity"), _PROC / "irq/default_smp_affinity", _WORK_QUEUES]
    return {**dict.fromkeys(masks, mask(cpus.others)), _TIMER_MIGRATION: "0"}


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""


def _write(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):  # an interrupt that its device binds (EIO)
        path.write_text(text)
