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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pandera.pandas as pa

from upfml import events, tables
from upfml.bpf import Module, Program
from upfml.capture import PacketRecorder, collector
from upfml.classify import kernel
from upfml.classify.user import UserClassifier
from upfml.delivery import Delivery, Dropper, Reader
from upfml.errors import UserError
from upfml.job import Job

_EXACTNESS_PAGES = 4096
"""Of buffer: nothing is timed in that arm, and nothing should be lost."""
_WAIT_S = 0.2


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
    delivery: Delivery
    readers: Mapping[str, Reader]  # by buffer
    results: Mapping[str, Recorder]  # by file name
    counts: Mapping[str, int]  # what user space counts for itself


def _collector(job: Job) -> tuple[Module, list[Program], Delivery]:
    module = collector(job.definition, job.flow_table, job.delivery)
    return module, [module.load("collect")], job.delivery


def _user_classifier(job: Job, module: Module) -> UserClassifier:
    return UserClassifier(job.needed_model, job.definition, job.when, lambda: module.counters()["event_lost"])


def collect(job: Job) -> Arm:
    """The arm `collect`: nothing is classified, nothing kept."""
    return Arm(*_collector(job), {"packets": Dropper(events.PACKET_EVENT)}, {}, {})


def capture(job: Job) -> Arm:
    """The training trace."""
    recorder = PacketRecorder()
    return Arm(*_collector(job), {"packets": recorder}, {"packets": recorder}, {})


def user(job: Job) -> Arm:
    """The arm `user`."""
    module, programs, delivery = _collector(job)
    classifier = _user_classifier(job, module)
    return Arm(module, programs, delivery, {"packets": classifier}, {"decisions": classifier}, classifier.counts)


def in_kernel(job: Job) -> Arm:
    """The arm `kernel`."""
    module, programs = kernel.load(
        job.needed_model, job.definition, job.when, job.flow_table, job.delivery, emit=job.emit
    )
    decisions = kernel.DecisionRecorder(module)
    return Arm(module, programs, job.delivery, {"decisions": decisions}, {"decisions": decisions}, {})


class _RecordAndClassify:
    """Both, for the arm `exactness`."""

    event = events.PACKET_EVENT

    def __init__(self, recorder: PacketRecorder, classifier: UserClassifier) -> None:
        self._recorder, self._classifier = recorder, classifier

    def take(self, events: np.ndarray) -> None:
        self._recorder.take(events)
        self._classifier.take(events)


def exactness(job: Job) -> Arm:
    """Kernel and user space classify the same packets, and every packet is kept: for upfml/exactness.py."""
    delivery = replace(job.delivery, pages=_EXACTNESS_PAGES)
    module, programs = kernel.load(
        job.needed_model, job.definition, job.when, job.flow_table, delivery, also=["HAND_OUT_PACKETS"]
    )
    packets, decisions = PacketRecorder(), kernel.DecisionRecorder(module)
    classifier = _user_classifier(job, module)
    return Arm(
        module,
        programs,
        delivery,
        {"packets": _RecordAndClassify(packets, classifier), "decisions": decisions},
        {"packets": packets, "user": classifier, "kernel": decisions},
        classifier.counts,
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
    delivered = arm.delivery.open(arm.module, arm.readers)
    arm.module.attach(job.device, arm.programs[0], job.xdp_mode)
    try:
        (job.out / "ready").touch()
        while not stopping:
            delivered.wait(_WAIT_S)
    finally:
        arm.module.detach(job.device, job.xdp_mode)
    delivered.drain()
    for name, recorder in arm.results.items():
        tables.write(recorder.table(), job.out / f"{name}.parquet", recorder.schema)
    tables.write_json(
        {
            "arm": job.arm,
            "xdp_mode": job.xdp_mode,
            "delivery": asdict(arm.delivery),
            "received": delivered.received,
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
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
