"""The process on the UPF that measures its machine: idle CPU, packets on N3, CPU time of the classifier's process.

    python -m upfml.run.meter

It reads requests from its standard input, a line of JSON each: {"call": method of Meter, "with": [arguments]}. It
answers on its standard output: {"result": …} or {"error": [cause, remedy]}. Other modules use it through
`MeterProcess`. Every time is the UPF's CLOCK_MONOTONIC, which the programs in its kernel read, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from pyroute2 import IPRoute

from upfml.base import provenance
from upfml.base.errors import UserError
from upfml.bpf import syscall
from upfml.provision import idle_pct
from upfml.run.sampling import Sampler
from upfml.testbed.host import Host, stop

_IDLE_OVER_S = 1.0
_PATIENCE_S = 30.0
"""Time to wait for an answer. Before the first answer Python imports what it needs."""
_LOOK_S = 0.5


class Meter:
    """What it can be asked, in the meter's own process."""

    def __init__(self) -> None:
        self._sampler: Sampler | None = None

    def machine(self) -> dict[str, Any]:
        """What provenance records of the machine."""
        return provenance.machine()

    def idle_pct(self) -> float:
        """The idle share of its CPUs in the next _IDLE_OVER_S seconds, in %."""
        stat = Path("/proc/stat")
        before = stat.read_text()
        time.sleep(_IDLE_OVER_S)
        return idle_pct(before, stat.read_text())

    def count_run_time(self) -> None:
        """Make the kernel count runs of BPF programs and their time, for as long as the meter lives."""
        syscall.count_run_time()

    def reading(self, device: str, agent_pid: int | None) -> dict[str, Any]:
        """Totals: packets received on N3's `device`, the agent's time on a CPU and waiting for one, and steal.

        With them the time, and the CPUs' mean frequency now (None where the kernel does not say).
        """
        with IPRoute() as ip:
            packets = ip.get_links(ifname=device)[0].get("stats64")["rx_packets"]
        # Documentation/scheduler/sched-stats.rst: ns on a CPU, ns that it waited for one, times that it got one.
        had = Path(f"/proc/{agent_pid}/schedstat").read_text().split() if agent_pid else [0, 0, 0]
        frequency = psutil.cpu_freq()
        return {
            "t_ns": time.monotonic_ns(),
            "n3_packets": packets,
            "agent_cpu_ns": int(had[0]),
            "agent_wait_ns": int(had[1]),
            "agent_slices": int(had[2]),
            "steal_s": psutil.cpu_times().steal / len(os.sched_getaffinity(0)),  # of one CPU, on average
            "cpu_mhz": frequency.current if frequency else None,
        }

    def begin_samples(self, folder: str, processes: Mapping[str, int]) -> None:
        """Sample machine and processes (name -> pid) once a second, into `folder`."""
        self._sampler = Sampler(Path(folder), {**processes, "meter": os.getpid()})
        self._sampler.__enter__()

    def end_samples(self) -> None:
        """Stop sampling."""
        if self._sampler:
            self._sampler.__exit__(None, None, None)
            self._sampler = None


class MeterProcess:
    """The meter of a host, from its start to its end. Each method raises UserError when the meter has ended."""

    def __init__(self, host: Host, log: Path) -> None:
        log.unlink(missing_ok=True)
        self._host, self._log = host, log
        self._process = host.start([host.python, "-m", "upfml.run.meter"], log=log, talks=True)

    def machine(self) -> dict[str, Any]:
        """As Meter.machine."""
        facts: dict[str, Any] = self._ask("machine")
        return facts

    def idle_pct(self) -> float:
        """As Meter.idle_pct."""
        return float(self._ask("idle_pct"))

    def count_run_time(self) -> None:
        """As Meter.count_run_time."""
        self._ask("count_run_time")

    def reading(self, device: str, agent_pid: int | None) -> dict[str, Any]:
        """As Meter.reading."""
        values: dict[str, Any] = self._ask("reading", device, agent_pid)
        return values

    @contextlib.contextmanager
    def sampling(self, folder: Path, processes: Mapping[str, int]) -> Iterator[None]:
        """Sample for the length of the block. After it the samples are in `folder` (sampling.table)."""
        self._ask("begin_samples", str(self._host.path(folder)), dict(processes))
        try:
            yield
        finally:
            self._ask("end_samples")
            self._host.fetch(folder)

    def end(self) -> None:
        """End it."""
        stop(self._process)

    def _ask(self, call: str, *arguments: Any) -> Any:
        self._process.tell(json.dumps({"call": call, "with": arguments}))
        deadline = time.monotonic() + _PATIENCE_S
        while (line := self._process.hear(_LOOK_S)) is None:
            if time.monotonic() > deadline:
                raise UserError(
                    f"the meter on {self._host.role} does not answer within {_PATIENCE_S:.0f} s", f"see {self._log}"
                )
        if not line:
            tail = self._log.read_text(errors="replace")[-2000:]
            raise UserError(f"the meter on {self._host.role} ended early:\n{tail}", f"see {self._log}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(*answer["error"])
        return answer["result"]


def main() -> None:
    """Answer until there is no more input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this, who tells us
    meter = Meter()
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"result": getattr(meter, question["call"])(*question["with"])}
        except UserError as error:
            answer = {"error": [error.cause, error.remedy]}
        except (OSError, psutil.Error) as error:
            answer = {"error": [f"{question['call']}: {error}", "see whether the classifier's process still runs"]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
