"""What the UPF's CPUs and machine do during a run, once a second (paper, figures 6 and 7).

By mpstat, pidstat, /proc/stat, and the program that counts context switches (bpf/switches.py).

During the run raw readings go to a folder; `table` turns them into rows afterwards.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pandas as pd

from upfml.base import files, tables
from upfml.base.tables import UPF
from upfml.testbed.host import LocalHost, stop

if TYPE_CHECKING:
    from upfml.bpf.switches import SwitchCounter

_STAT = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Columns of a cpu line of /proc/stat, proc(5)."""
_JIFFIES_PER_S = os.sysconf("SC_CLK_TCK")


class Sampler:
    """Samples from __enter__ to __exit__. Enter from the main thread (see Host.start)."""

    def __init__(
        self, folder: Path, processes: Mapping[str, int], upf_cpus: Sequence[int], switches: SwitchCounter
    ) -> None:
        """`processes`: name -> pid of those to watch; `classifier` is the agent."""
        self._folder = folder
        self._processes, self._cpus, self._switches = dict(processes), list(upf_cpus), switches
        self._readings: list[dict[str, Any]] = []
        self._over = Event()
        self._thread = Thread(target=self._read_every_second, daemon=True)

    def __enter__(self) -> Sampler:
        self._folder.mkdir(parents=True, exist_ok=True)
        for left_over in self._folder.iterdir():  # the tools append
            left_over.unlink()
        files.write_json({"processes": self._processes, "upf_cpus": self._cpus}, self._folder / "watched.json")
        here = LocalHost("here")
        pids = ",".join(map(str, self._processes.values()))
        every_second = "1"
        self._tools = [
            here.start(["mpstat", "-P", "ALL", "-o", "JSON", every_second], log=self._folder / "mpstat.json"),
            here.start(["pidstat", "-u", "-w", "-h", "-H", "-p", pids, every_second], log=self._folder / "pidstat.txt"),
        ]
        self._thread.start()
        return self

    def _read_every_second(self) -> None:
        next_s = time.monotonic()
        while not self._over.wait(max(0.0, next_s - time.monotonic())):
            next_s += 1.0
            switches = {name: self._switches.of_process(pid, self._cpus) for name, pid in self._processes.items()}
            switches[UPF] = self._switches.on(self._cpus)
            self._readings.append({"t_s": time.monotonic(), "stat": _proc_stat(), "switches": switches})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for tool in self._tools:
            stop(tool, by=signal.SIGINT)  # mpstat closes its JSON on Ctrl-C only
        files.write_json(self._readings, self._folder / "readings.json")


def _proc_stat() -> dict[str, Any]:
    """Cumulative jiffies of every CPU and context switches of the system."""
    cpus: dict[str, dict[str, int]] = {}
    switches = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name.startswith("cpu"):
            cpus[_cpu_entity(name.removeprefix("cpu") or "all")] = dict(
                zip(_STAT, map(int, values), strict=False)  # the kernel may append columns
            )
        elif name == "ctxt":
            switches = int(values[0])
    return {"cpus": cpus, "context_switches": switches}


def idle_ns(cpus: Sequence[int]) -> int:
    """How long some CPUs have been idle, exactly: /proc/stat says the same in steps of 10 ms."""
    text = Path("/proc/timer_list").read_text()
    of_cpu = dict(re.findall(r"^cpu: (\d+)$.*?^ +\.idle_sleeptime +: (\d+) nsecs$", text, re.M | re.S))
    return sum(int(of_cpu[str(cpu)]) for cpu in cpus)


def table(folder: Path) -> pd.DataFrame:
    """The raw readings of a run's folder as rows of the samples table."""
    watched = files.read_json(folder / "watched.json")
    readings = files.read_json(folder / "readings.json")
    rows = [
        *_mpstat_rows(json.loads((folder / "mpstat.json").read_text()), watched["upf_cpus"]),
        *_pidstat_rows((folder / "pidstat.txt").read_text(), watched["processes"]),
        *_procstat_rows(readings, watched["upf_cpus"]),
        *_switch_rows(readings),
    ]
    frame = pd.DataFrame(rows, columns=list(tables.SAMPLES.columns))
    return tables.typed(frame, tables.SAMPLES)


def turns(folder: Path) -> pd.DataFrame:
    """The readings of turns, each in a folder ARM_TRIAL in `folder`, as rows of the table turn_samples."""
    parts = []
    for turn in sorted(folder.glob("*_*/")):  # Snakemake keeps a file of its own beside them
        arm, trial = turn.name.rsplit("_", 1)
        parts.append(table(turn).assign(arm=arm, trial=int(trial)))
    return tables.typed(pd.concat(parts, ignore_index=True), tables.TURN_SAMPLES)


def _row(source: str, second: int, entity: str, usr: float, sys: float, **rest: float) -> dict[str, Any]:
    total = usr + sys + rest.get("soft_pct", 0.0)
    return {
        "source": source,
        "second": second,
        "entity": entity,
        "usr_pct": usr,
        "sys_pct": sys,
        "total_pct": total,
        **rest,
    }


def _cpu_entity(cpu: str) -> str:
    return f"cpu-{cpu}"


def _mpstat_rows(report: Mapping[str, Any], upf_cpus: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for second, statistics in enumerate(report["sysstat"]["hosts"][0]["statistics"]):
        shares = {cpu["cpu"]: cpu for cpu in statistics["cpu-load"]}
        upf = [shares[str(cpu)] for cpu in upf_cpus]
        entities = {_cpu_entity(name): [cpu] for name, cpu in shares.items()} | {UPF: upf}
        for entity, cpus in entities.items():
            usr, sys, soft, steal = (fmean(cpu[name] for cpu in cpus) for name in ("usr", "sys", "soft", "steal"))
            rows.append(_row("mpstat", second, entity, usr, sys, soft_pct=soft, steal_pct=steal))
    return rows


def _pidstat_rows(text: str, processes: Mapping[str, int]) -> list[dict[str, Any]]:
    """pidstat -h: one line a process and second, its columns named in lines that begin with #."""
    names = {str(pid): name for name, pid in processes.items()}
    columns: list[str] = []
    seconds: dict[str, int] = {}
    rows = []
    for line in text.splitlines():
        if line.startswith("#"):
            columns = line.lstrip("# ").split()
        elif columns and line.strip():
            values = dict(zip(columns, line.split(), strict=False))  # the command may hold spaces
            second = seconds.setdefault(values["Time"], len(seconds))
            switches = float(values["cswch/s"]) + float(values["nvcswch/s"])
            rows.append(
                _row(
                    "pidstat",
                    second,
                    names[values["PID"]],
                    float(values["%usr"]),
                    float(values["%system"]),
                    context_switches_per_s=switches,
                )
            )
    return rows


def _procstat_rows(readings: list[dict[str, Any]], upf_cpus: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for second, (before, after) in enumerate(pairwise(readings)):
        seconds = after["t_s"] - before["t_s"]
        switches = after["stat"]["context_switches"] - before["stat"]["context_switches"]
        began, ended = (reading["stat"]["cpus"] for reading in (before, after))
        each = [cpu for cpu in ended if cpu != "cpu-all"]
        groups = {cpu: [cpu] for cpu in each} | {"cpu-all": each, UPF: [_cpu_entity(str(cpu)) for cpu in upf_cpus]}
        for entity, cpus in groups.items():
            spent = {name: sum(ended[cpu][name] - began[cpu][name] for cpu in cpus) for name in _STAT}
            jiffies = max(1, sum(spent.values()))
            free_s = (spent["idle"] + spent["iowait"] + spent["steal"]) / _JIFFIES_PER_S
            rows.append(
                _row(
                    "procstat",
                    second,
                    entity,
                    100.0 * (spent["user"] + spent["nice"]) / jiffies,
                    100.0 * spent["system"] / jiffies,
                    soft_pct=100.0 * spent["softirq"] / jiffies,
                    steal_pct=100.0 * spent["steal"] / jiffies,
                    busy_pct=max(0.0, 100.0 * (1 - free_s / seconds / len(cpus))),
                    **({"context_switches_per_s": switches / seconds} if entity == "cpu-all" else {}),
                )
            )
    return rows


def _switch_rows(readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Context switches on the UPF's CPUs: all, and those away from each process."""
    return [
        {
            "source": "sched_switch",
            "second": second,
            "entity": entity,
            "context_switches_per_s": (count - before["switches"][entity]) / (after["t_s"] - before["t_s"]),
        }
        for second, (before, after) in enumerate(pairwise(readings))
        for entity, count in after["switches"].items()
    ]
