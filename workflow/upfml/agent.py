"""The process on the UPF: one XDP program on N3, and the reader of its events.

    python -m upfml.agent JOB.json

Writes `ready` into the job's folder once packets are being seen; on SIGTERM or SIGINT it takes its program off the
device, reads what is left in the buffers, and writes its tables and agent.json (counters, events received).
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
import pandera.pandas as pa

from upfml import tables
from upfml.bpf import Module, Program, VerifierRefused
from upfml.capture import PacketCounter, PacketRecorder, collector
from upfml.classify import kernel
from upfml.classify.user import UserClassifier
from upfml.errors import UserError
from upfml.job import Job
from upfml.reader import Reader

PERF_PAGES = 64
"""Pages of perf buffer a CPU (256 KiB), a power of two; BCC's own default is 8."""
_EXACTNESS_PAGES = 1024
"""Nothing is timed in this arm, and nothing should be lost."""

_POLL_MS = 200


class Recorder(Protocol):
    """Makes a table of the events that it has read."""

    schema: pa.DataFrameSchema

    def table(self) -> pd.DataFrame:
        """After the end: the rows."""


@dataclass(frozen=True)
class Arm:
    """A program on N3 and what is done with its events."""

    module: Module
    programs: list[Program]  # the first is the one to attach
    readers: Mapping[str, Reader]  # by perf buffer
    results: Mapping[str, Recorder]  # by file name
    counts: Mapping[str, int]  # what user space counts for itself
    perf_pages: int = PERF_PAGES


def _collector(job: Job, reader: Reader, results: Mapping[str, Recorder], counts: Mapping[str, int]) -> Arm:
    module = collector(job.definition, job.flow_table)
    return Arm(module, [module.load("collect")], {"packets": reader}, results, counts)


def collect(job: Job) -> Arm:
    """The arm `collect`: nothing is classified, nothing kept."""
    return _collector(job, PacketCounter(), {}, {})


def capture(job: Job) -> Arm:
    """The training trace."""
    recorder = PacketRecorder()
    return _collector(job, recorder, {"packets": recorder}, {})


def user(job: Job) -> Arm:
    """The arm `user`."""
    classifier = UserClassifier(job.needed_model, job.definition, job.when)
    return _collector(job, classifier, {"decisions": classifier}, classifier.counts)


def in_kernel(job: Job) -> Arm:
    """The arm `kernel`."""
    module, programs = kernel.load(job.needed_model, job.definition, job.when, job.flow_table)
    decisions = kernel.DecisionRecorder()
    return Arm(module, programs, {"decisions": decisions}, {"decisions": decisions}, {})


class _RecordAndClassify(Reader):
    """Both, for the arm `exactness`."""

    def __init__(self, recorder: PacketRecorder, classifier: UserClassifier) -> None:
        self._recorder, self._classifier = recorder, classifier

    def event(self, cpu: int, data: int, size: int) -> None:
        self.received += 1
        self._recorder.event(cpu, data, size)
        self._classifier.event(cpu, data, size)

    def lost(self, count: int) -> None:
        self._classifier.lost(count)


def exactness(job: Job) -> Arm:
    """Kernel and user space classify the same packets, and every packet is kept: for upfml/exactness.py."""
    module, programs = kernel.load(
        job.needed_model, job.definition, job.when, job.flow_table, also=["HAND_OUT_PACKETS"]
    )
    packets, decisions = PacketRecorder(), kernel.DecisionRecorder()
    classifier = UserClassifier(job.needed_model, job.definition, job.when)
    return Arm(
        module,
        programs,
        {"packets": _RecordAndClassify(packets, classifier), "decisions": decisions},
        {"packets": packets, "user": classifier, "kernel": decisions},
        classifier.counts,
        _EXACTNESS_PAGES,
    )


ARMS: dict[str, Callable[[Job], Arm]] = {
    "capture": capture,
    "collect": collect,
    "user": user,
    "kernel": in_kernel,
    "exactness": exactness,
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
    for buffer, reader in arm.readers.items():
        arm.module.read_events(buffer, reader.event, arm.perf_pages, reader.lost)
    arm.module.attach(job.device, arm.programs[0], job.xdp_mode)
    try:
        (job.out / "ready").touch()
        while not stopping:
            arm.module.poll(_POLL_MS)
    finally:
        arm.module.detach(job.device, job.xdp_mode)
    arm.module.poll(0)
    for name, recorder in arm.results.items():
        tables.write(recorder.table(), job.out / f"{name}.parquet", recorder.schema)
    tables.write_json(
        {
            "arm": job.arm,
            "xdp_mode": job.xdp_mode,
            "perf_pages": arm.perf_pages,
            "received": sum(reader.received for reader in arm.readers.values()),
            "counters": arm.module.counters() | {"flows_evicted": arm.module.flows_evicted()},
            "user_space": arm.counts,
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
