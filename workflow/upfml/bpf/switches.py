"""Context switches, counted exactly by a program at sched_switch (bpf/switches.bpf.c): by CPU, and by process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from upfml.base.errors import UserError
from upfml.bpf.module import Module
from upfml.bpf.syscall import attach_raw_tracepoint

_RAW_TRACEPOINT = 17
"""Program type: enum bpf_prog_type of the kernel's uapi/linux/bpf.h."""


@dataclass(frozen=True)
class Tenancy:
    """What a process had of a CPU since the counter began. Process 0 is the idle CPU."""

    cpu: int
    process: int
    name: str  # of its thread that left the CPU last
    switches: int  # away from it
    ran_ns: int  # with the interrupts that came meanwhile


class SwitchCounter:
    """Counts from its start until `close`."""

    def __init__(self) -> None:
        """Begin to count. Raises UserError where the kernel does not let a program count."""
        self._module = Module("switches.bpf.c")
        program = self._module.load("count_switch", _RAW_TRACEPOINT)
        try:
            self._link = attach_raw_tracepoint("sched_switch", program.fd)
        except OSError as error:
            raise UserError(
                f"context switches cannot be counted: {error}", "use a kernel with CONFIG_BPF_EVENTS and tracepoints"
            ) from error
        finally:
            os.close(program.fd)

    def close(self) -> None:
        """Count no more."""
        os.close(self._link)

    def on(self, cpus: Sequence[int]) -> int:
        """Context switches of some CPUs since the start."""
        table = self._module["switches"]
        counts = table[table.Key(0)]
        return sum(int(counts[cpu]) for cpu in cpus)

    def of_process(self, process: int, cpus: Sequence[int]) -> int:
        """Context switches away from a process, on some CPUs, since the start."""
        table = self._module["tenancies"]
        keys = [table.Key(cpu=cpu, process=process) for cpu in cpus]
        return sum(int(table[key].switches) for key in keys if key in table)

    def tenancies(self) -> list[Tenancy]:
        """Of every process and CPU since the start."""
        return [
            Tenancy(
                int(key.cpu), int(key.process), had.name.decode(errors="replace"), int(had.switches), int(had.ran_ns)
            )
            for key, had in self._module["tenancies"].items()
        ]
