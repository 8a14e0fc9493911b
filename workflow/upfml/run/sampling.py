"""What the machine does during a run, once a second: mpstat, pidstat and /proc/stat (paper, figures 6 and 7).

During the run raw readings go to a folder; `table` turns them into rows afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any

import pandas as pd

from upfml.base import files, tables
from upfml.testbed.host import LocalHost, stop

_STAT = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Columns of a cpu line of /proc/stat, proc(5)."""
_JIFFIES_PER_S = os.sysconf("SC_CLK_TCK")


class Sampler:
    """Samples from __enter__ to __exit__. Enter from the main thread (see Host.start)."""

    def __init__(self, folder: Path, processes: Mapping[str, int]) -> None:
        """`processes`: name -> pid of those to watch; `classifier` is the agent."""
        self._folder = folder
        self._processes = dict(processes)
        self._readings: list[dict[str, Any]] = []
        self._over = Event()
        self._thread = Thread(target=self._read_every_second, daemon=True)

    def __enter__(self) -> Sampler:
        self._folder.mkdir(parents=True, exist_ok=True)
        for left_over in self._folder.iterdir():  # the tools append
            left_over.unlink()
        files.write_json(self._processes, self._folder / "processes.json")
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
            self._readings.append({"t_s": time.monotonic(), "stat": _proc_stat()})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for tool in self._tools:
            stop(tool, by=signal.SIGINT)  # mpstat closes its JSON on Ctrl-C only
        files.write_json(self._readings, self._folder / "procstat.json")


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


def table(folder: Path) -> pd.DataFrame:
    """The raw readings of a run's folder as rows of the samples table."""
    rows = [
        *_mpstat_rows(json.loads((folder / "mpstat.json").read_text())),
        *_pidstat_rows((folder / "pidstat.txt").read_text(), files.read_json(folder / "processes.json")),
        *_reading_rows(files.read_json(folder / "procstat.json")),
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


def _mpstat_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    seconds = report["sysstat"]["hosts"][0]["statistics"]
    return [
        _row(
            "mpstat",
            second,
            _cpu_entity(cpu["cpu"]),
            cpu["usr"],
            cpu["sys"],
            soft_pct=cpu["soft"],
            steal_pct=cpu["steal"],
        )
        for second, statistics in enumerate(seconds)
        for cpu in statistics["cpu-load"]
    ]


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


def _reading_rows(readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for second, (before, after) in enumerate(pairwise(readings)):
        seconds = after["t_s"] - before["t_s"]
        switches = after["stat"]["context_switches"] - before["stat"]["context_switches"]
        for cpu, stat in after["stat"]["cpus"].items():
            spent = {key: value - before["stat"]["cpus"][cpu][key] for key, value in stat.items()}
            jiffies = max(1, sum(spent.values()))
            free_s = (spent["idle"] + spent["iowait"] + spent["steal"]) / _JIFFIES_PER_S
            cpus = len(after["stat"]["cpus"]) - 1 if cpu == "cpu-all" else 1
            rows.append(
                _row(
                    "procstat",
                    second,
                    cpu,
                    100.0 * (spent["user"] + spent["nice"]) / jiffies,
                    100.0 * spent["system"] / jiffies,
                    soft_pct=100.0 * spent["softirq"] / jiffies,
                    steal_pct=100.0 * spent["steal"] / jiffies,
                    busy_pct=max(0.0, 100.0 * (1 - free_s / seconds / cpus)),
                    **({"context_switches_per_s": switches / seconds} if cpu == "cpu-all" else {}),
                )
            )
    return rows
