"""The process on the UPF: one XDP program on N3, and the reader of its events.

    python -m upfml.run.agent JOB.json

It reads commands from its standard input, one word a line. It answers each with a line of JSON on its standard output:

    (at the start)  {"loaded": true}    programs are in the kernel, nothing is attached
    attach          {"attached": true, "xdp_mode": MODE}  the program sees packets from now on
    detach          its report so far (see `_Agent.report`); before that it empties the buffers and forgets all flows

At `end`, or at the end of its input, it detaches its program and writes its tables.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pandera.pandas as pa

from upfml.base import files
from upfml.base.errors import UserError
from upfml.bpf import events, syscall, xdp
from upfml.bpf.delivery import Dropper, Reader
from upfml.bpf.module import Module, Program
from upfml.classify import kernel
from upfml.classify.afxdp import AfXdp
from upfml.classify.collector import PacketRecorder, collector
from upfml.classify.native import NativeClassifier, NativeRing
from upfml.classify.user import UserClassifier
from upfml.run.job import Job

_EXACTNESS_PAGES = 4096
"""Size of the buffer. It is large, because this arm must lose nothing; its times do not matter."""
_WAIT_S = 0.2


class Recorder(Protocol):
    """Makes a table of the events that it has read."""

    schema: pa.DataFrameSchema

    def table(self) -> pd.DataFrame:
        """After the end: the rows."""


class Consumer(Protocol):
    """Gets the events, and has them read."""

    @property
    def received(self) -> int:
        """Events that have been read."""

    def wait(self, timeout_s: float) -> None:
        """Read what is there, after waiting up to `timeout_s` for the first event."""

    def drain(self) -> None:
        """Read what is there."""


class Forgetful(Protocol):
    """Knows flows."""

    def forget(self) -> None:
        """Forget them, so that the next packet of each is its first."""


@dataclass(frozen=True)
class LoadedArm:
    """A program on N3 and what is done with its events."""

    module: Module
    programs: Sequence[Program]  # the first is the one to attach
    consumer: Consumer
    results: Mapping[str, Recorder]  # by file name
    counts: Callable[[], Mapping[str, int]]  # what user space counts for itself
    forgetful: Sequence[Forgetful] = ()
    plane: AfXdp | None = None  # has sockets on the device while the program is there
    follows: bool = True  # the program follows flows, in its map `flows`


def _collector(job: Job) -> tuple[Module, list[Program]]:
    module = collector(job.flow_table, job.delivery, stamps=True)
    return module, [module.load("collect")]


def _lost(module: Module) -> Callable[[], int]:
    return lambda: module.counters()["event_lost"]


def collect(job: Job) -> LoadedArm:
    """The arm `collect`: nothing is classified, nothing kept."""
    module, programs = _collector(job)
    return LoadedArm(module, programs, job.delivery.open(module, {"packets": Dropper(events.PACKET_EVENT)}), {}, dict)


def capture(job: Job) -> LoadedArm:
    """The training trace."""
    recorder = PacketRecorder()
    module, programs = _collector(job)
    return LoadedArm(module, programs, job.delivery.open(module, {"packets": recorder}), {"packets": recorder}, dict)


def user(job: Job) -> LoadedArm:
    """The arm `user`."""
    module, programs = _collector(job)
    classifier = UserClassifier(job.needed_model, job.needed_definition, job.arm.when, _lost(module))
    consumer = job.delivery.open(module, {"packets": classifier})
    return LoadedArm(module, programs, consumer, {"decisions": classifier}, lambda: classifier.counts, [classifier])


def native(job: Job) -> LoadedArm:
    """The arm `native`."""
    module, programs = _collector(job)
    classifier = NativeClassifier(job.needed_model, job.needed_definition, job.arm.when, _lost(module))
    consumer = NativeRing(module, "packets", classifier, job.delivery.delay_ms / 1e3)
    return LoadedArm(module, programs, consumer, {"decisions": classifier}, lambda: classifier.counts, [classifier])


def afxdp(job: Job) -> LoadedArm:
    """The arm `afxdp`."""
    plane = AfXdp(job.needed_model, job.needed_definition, job.arm.when, job.uplink)
    return LoadedArm(
        plane.module, [plane.program], plane, {"decisions": plane}, lambda: plane.counts, [plane], plane, follows=False
    )


def in_kernel(job: Job) -> LoadedArm:
    """The arm `kernel`."""
    module, programs = kernel.load(
        job.needed_model,
        job.needed_definition,
        job.arm.when,
        job.flow_table,
        job.delivery,
        emit=job.arm.emit,
        also=["STAMP_STEPS"],
    )
    decisions = kernel.DecisionRecorder(module)
    consumer = job.delivery.open(module, {"decisions": decisions})
    return LoadedArm(module, programs, consumer, {"decisions": decisions}, dict, [decisions])


class _Together:
    """Readers of the same events, for the arm `exactness`."""

    event = events.PACKET_EVENT

    def __init__(self, *readers: Reader) -> None:
        self._readers = readers

    def take(self, events: np.ndarray) -> None:
        for reader in self._readers:
            reader.take(events)


def exactness(job: Job) -> LoadedArm:
    """Kernel and user space, in Python and C, classify the same packets, which are kept: for studies/exactness.py."""
    delivery = replace(job.delivery, pages=_EXACTNESS_PAGES)
    module, programs = kernel.load(
        job.needed_model,
        job.needed_definition,
        job.arm.when,
        job.flow_table,
        delivery,
        also=["HAND_OUT_PACKETS", "STAMP_STEPS"],
    )
    packets, decisions = PacketRecorder(), kernel.DecisionRecorder(module)
    python = UserClassifier(job.needed_model, job.needed_definition, job.arm.when, _lost(module))
    c = NativeClassifier(job.needed_model, job.needed_definition, job.arm.when, _lost(module))
    return LoadedArm(
        module,
        programs,
        delivery.open(module, {"packets": _Together(packets, python, c), "decisions": decisions}),
        {"packets": packets, "user": python, "native": c, "kernel": decisions},
        lambda: python.counts,
        [python, c, decisions],
    )


LOADERS: dict[str, Callable[[Job], LoadedArm]] = {
    "capture": capture,
    "collect": collect,
    "user": user,
    "native": native,
    "afxdp": afxdp,
    "kernel": in_kernel,
    "exactness": exactness,
}
"""By kind (arms.py)."""


class _Agent:
    """An arm that is loaded."""

    def __init__(self, job: Job, arm: LoadedArm) -> None:
        self._job, self._arm = job, arm
        self._attachment: xdp.Attachment | None = None
        self._xdp_mode = ""
        self._forgotten_flows = self._evicted_flows = 0

    def attach(self) -> str:
        """Attach the program to N3; returns the XDP mode. All turns use the first one's, to be comparable."""
        device, wanted = self._job.device, self._xdp_mode or self._job.xdp_mode
        if self._arm.plane:
            self._arm.plane.open(device)
        self._attachment = xdp.attach(self._arm.module, self._arm.programs[0], device, wanted)
        self._xdp_mode = self._attachment.mode
        return self._xdp_mode

    def wait(self) -> None:
        """Read events for a while, if there can be any."""
        self._arm.consumer.wait(_WAIT_S)

    def detach(self) -> None:
        """Detach the program, read what is left, forget the flows."""
        if not self._attachment:
            return
        self._attachment.detach()
        self._attachment = None
        self._arm.consumer.drain()
        for forgetful in self._arm.forgetful:
            forgetful.forget()
        if self._arm.plane:
            self._arm.plane.close()
        if self._arm.follows:
            self._forget_flows()

    def _forget_flows(self) -> None:
        """In the kernel's table."""
        flows = self._arm.module["flows"]
        here = len(flows)
        self._evicted_flows = self._arm.module.counters()["flow_new"] - self._forgotten_flows - here
        self._forgotten_flows += here
        flows.clear()

    def report(self) -> dict[str, Any]:
        """Totals since the start: events read, counters, and the program's run time by the kernel's own account."""
        arm = self._arm
        info = syscall.prog_info(arm.programs[0].fd)
        return {
            "received": arm.consumer.received,
            "counters": arm.module.counters() | {"flows_evicted": self._evicted_flows},
            "counted_by_cpu": arm.module.counted_by_cpu(),
            "user_space": arm.counts(),
            "run_time_ns": info.run_time_ns,  # zero unless somebody has turned BPF statistics on
            "run_cnt": info.run_cnt,
        }

    def write(self) -> None:
        """The tables and agent.json."""
        for name, recorder in self._arm.results.items():
            files.write(recorder.table(), self._job.out / f"{name}.parquet", recorder.schema)
        programs = [vars(program) for program in self._arm.programs]
        about = {"arm": self._job.arm.kind, "xdp_mode": self._xdp_mode, "delivery": asdict(self._job.delivery)}
        files.write_json(about | self.report() | {"programs": programs}, self._job.out / "agent.json")


def run(job: Job) -> None:
    """Do the job until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this, who tells us
    agent = _Agent(job, LOADERS[job.arm.kind](job))
    words: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        """Runs in a thread, because looking for input between reads would slow every read."""
        for line in sys.stdin:
            words.put(line.strip())
        words.put("")

    Thread(target=listen, daemon=True).start()
    _say({"loaded": True})
    try:
        while (word := words.get()) not in ("end", ""):
            if word == "attach":
                _say({"attached": True, "xdp_mode": agent.attach()})
                while words.empty():
                    agent.wait()
            else:
                agent.detach()
                _say(agent.report())
    finally:
        agent.detach()
    agent.write()


def _say(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main() -> int:
    """The command line; exit status 1 with one clear message when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m upfml.run.agent", description=__doc__)
    parser.add_argument("job", type=Path, metavar="JOB.json", help="what to do (upfml/run/job.py)")
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
