"""The process on the UPF that measures its machine: idle CPU, packets on N3, CPU time of the classifier's process.

    python -m upfml.run.meter [CPU …]

The CPUs are the UPF's; none named are all that the machine has. It reads requests from its standard input, a line of
JSON each: {"call": method of Meter, "with": [arguments]}. It answers on its standard output: {"result": …} or
{"error": [cause, remedy]}. Other modules use it through `MeterProcess`. Every time is the UPF's CLOCK_MONOTONIC, which
the programs in its kernel read, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from pyroute2 import IPRoute

from upfml.base import provenance
from upfml.base.errors import UserError
from upfml.bpf import syscall
from upfml.bpf.switches import SwitchCounter, Tenancy
from upfml.provision import idle_pct
from upfml.run.sampling import Sampler, idle_ns
from upfml.testbed.bed import Bed
from upfml.testbed.cpus import online
from upfml.testbed.host import stop

_IDLE_OVER_S = 1.0
_PATIENCE_S = 30.0
"""Time to wait for an answer. Before the first answer Python imports what it needs."""
_LOOK_S = 0.5


class Meter:
    """What it can be asked, in the meter's own process."""

    def __init__(self, upf_cpus: Sequence[int]) -> None:
        """Raises UserError where context switches cannot be counted."""
        self._cpus = list(upf_cpus) or online()
        self._switches = SwitchCounter()
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
        """Totals: packets received on N3's `device`, the agent's time on a CPU and waiting for one, steal, idle.

        With them the time, how many CPUs are the UPF's, and the CPUs' mean frequency now (None where the kernel does
        not say).
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
            "upf_cpus": len(self._cpus),
            "upf_idle_ns": idle_ns(self._cpus),
            "steal_s": psutil.cpu_times().steal / len(os.sched_getaffinity(0)),  # of one CPU, on average
            "cpu_mhz": frequency.current if frequency else None,
        }

    def begin_samples(self, folder: str, processes: Mapping[str, int]) -> None:
        """Sample machine and processes (name -> pid) once a second, into `folder`."""
        self._sampler = Sampler(Path(folder), {**processes, "meter": os.getpid()}, self._cpus, self._switches)
        self._sampler.__enter__()

    def tenancies(self) -> list[dict[str, Any]]:
        """What every process had of the UPF's CPUs since the meter began (switches.Tenancy)."""
        return [asdict(each) for each in self._switches.tenancies() if each.cpu in self._cpus]

    def end_samples(self) -> None:
        """Stop sampling."""
        if self._sampler:
            self._sampler.__exit__(None, None, None)
            self._sampler = None


class MeterProcess:
    """The meter of a host, from its start to its end. Each method raises UserError when the meter has ended."""

    def __init__(self, bed: Bed, log: Path) -> None:
        log.unlink(missing_ok=True)
        self._host, self._log = bed.meters, log
        command = [self._host.python, "-m", "upfml.run.meter", *map(str, bed.upf_cpus)]
        self._process = self._host.start(command, log=log, talks=True)

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

    def tenancies(self) -> list[Tenancy]:
        """As Meter.tenancies."""
        return [Tenancy(**each) for each in self._ask("tenancies")]

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
    """Answer until there is no more input. Where the meter cannot begin, that is the answer to the first question."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this, who tells us
    meter: Meter | None = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            meter = meter or Meter([int(cpu) for cpu in sys.argv[1:]])
            answer = {"result": getattr(meter, question["call"])(*question["with"])}
        except UserError as error:
            answer = {"error": [error.cause, error.remedy]}
        except (OSError, psutil.Error) as error:
            answer = {"error": [f"{question['call']}: {error}", "see whether the classifier's process still runs"]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
