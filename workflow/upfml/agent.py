"""The process on the UPF: one XDP program on N3, and the reader of its events.

    python -m upfml.agent JOB.json

Writes `ready` into the job's folder once packets are being seen; on SIGTERM or SIGINT it takes its program off the
device, reads what is left in the buffer, and writes its table and agent.json (counters, events received).
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Protocol

import pandas as pd

from upfml import tables
from upfml.bpf import Module, Program, VerifierRefused
from upfml.capture import Capture, Collect
from upfml.classify.kernel import KernelClassifier
from upfml.classify.user import UserClassifier
from upfml.errors import UserError
from upfml.job import Job

PERF_PAGES = 64
"""Pages of perf buffer a CPU (256 KiB), a power of two; BCC's own default is 8."""
_POLL_MS = 200


class Arm(Protocol):
    """A program on N3 and what is done with its events."""

    module: Module
    programs: list[Program]  # the first is the one to attach
    events: str  # name of its perf buffer

    def __init__(self, job: Job) -> None:
        """Compile and load; may raise UserError and VerifierRefused."""

    @property
    def received(self) -> int:
        """Events so far."""

    def event(self, cpu: int, data: int, size: int) -> None:
        """Take one event, at address `data`, from the perf buffer."""

    def table(self) -> tuple[str, pd.DataFrame] | None:
        """After the end: the name and rows of what it made, if it makes a table."""


ARMS: dict[str, type[Arm]] = {
    "capture": Capture,
    "collect": Collect,
    "user": UserClassifier,
    "kernel": KernelClassifier,
}


def run(job: Job) -> None:
    """Do the job until SIGTERM or SIGINT."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    arm = ARMS[job.arm](job)
    arm.module.read_events(arm.events, arm.event, PERF_PAGES)
    arm.module.attach(job.device, arm.programs[0], job.xdp_mode)
    try:
        (job.out / "ready").touch()
        while not stopping:
            arm.module.poll(_POLL_MS)
    finally:
        arm.module.detach(job.device, job.xdp_mode)
    arm.module.poll(0)
    made = arm.table()
    if made is not None:
        name, rows = made
        tables.write(rows, job.out / f"{name}.parquet", tables.BY_NAME[name])
    tables.write_json(
        {
            "arm": job.arm,
            "xdp_mode": job.xdp_mode,
            "perf_pages": PERF_PAGES,
            "received": arm.received,
            "counters": arm.module.counters(),
            "programs": [vars(program) for program in arm.programs],
        },
        job.out / "agent.json",
    )


def main() -> int:
    """The command line; exit status 1 with one clear message when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m upfml.agent", description=__doc__)
    parser.add_argument("job", type=Path, metavar="JOB.json", help="what to do (upfml/job.py)")
    arguments = parser.parse_args()
    try:
        run(Job.read(arguments.job))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except VerifierRefused as error:
        remedy = "choose a smaller model.deployed, or more programs in convert.division"
        print(f"error: {error}\n  remedy: {remedy}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
