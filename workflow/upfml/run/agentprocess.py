"""The agent (upfml/run/agent.py) seen from outside: start the process, tell it what to do, watch it, end it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upfml.arms import Arm
from upfml.base import files, xdpmode
from upfml.base.errors import UserError
from upfml.bpf.delivery import Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.packets.features import Definition
from upfml.run.job import Job
from upfml.testbed.bed import Bed
from upfml.testbed.host import stop

_START_S = 120.0  # a verifier may take long, and so may a machine that loads other agents beside
_ANSWER_S = 60.0
_END_S = 600.0
_LOOK_S = 0.1  # at whether it still lives


class AgentProcess:
    """The process on the UPF, from its start until it has written its tables."""

    def __init__(self, config: Mapping[str, Any], arm: Arm, bed: Bed, model: Path | None, work: Path) -> None:
        """Start it. `arm` is of any kind but none. `model` is a folder of convert.write, if the arm classifies."""
        job = Job(
            arm=arm, device=bed.n3_device, xdp_mode=config["testbed"]["xdp_mode"], out=bed.upf.path(work),
            definition=Definition.of(config["features"]) if arm.classifies else None,
            flow_table=FlowTable.of(config["flow_table"]),
            delivery=Delivery.of(arm.by, config["delivery"]["delay_ms"] if arm.by == "batched" else 0.0),
            model=bed.upf.path(model) if model and arm.classifies else None, uplink=bed.uplink,
        )  # fmt: skip
        work.mkdir(parents=True, exist_ok=True)
        self._work, self._log, self._upf = work, work / "agent.log", bed.upf
        self._log.unlink(missing_ok=True)
        job.write(work / "job.json")
        self._upf.send(work, *([model] if job.model and model else []))
        self._process = self._upf.start(
            [self._upf.python, "-m", "upfml.run.agent", work / "job.json"], log=self._log, talks=True
        )
        self._loaded = False
        self.pid = self._process.pid
        self.xdp_mode = xdpmode.NONE
        """Mode of its program on N3: one of xdpmode.MODES, or xdpmode.NONE before it was attached."""

    def wait_until_loaded(self) -> None:
        """Return once its programs are in the kernel. Raises UserError when it ends or takes too long."""
        if not self._loaded:
            self._answer(_START_S)
            self._loaded = True

    def attach(self) -> None:
        """Attach its program to N3. Raises UserError when it cannot."""
        self.wait_until_loaded()
        self.xdp_mode = self._tell("attach")["xdp_mode"]

    def detach(self) -> dict[str, Any]:
        """Detach its program, make it forget all flows, and return its report so far."""
        return self._tell("detach")

    def check(self) -> None:
        """Raise UserError, with its last words, if it has ended."""
        if self._process.poll() is not None:
            tail = self._log.read_text(errors="replace")[-2000:]
            raise UserError(f"the agent on the UPF ended early:\n{tail}", f"see {self._log}")

    def end(self) -> dict[str, Any]:
        """Make it write its tables, and return its own report (agent.json)."""
        self.wait_until_loaded()
        # To close its input would not do: a process that was forked meanwhile may hold the other end, too.
        self._process.tell("end")
        try:
            status = self._process.wait(_END_S)
        except TimeoutError:
            status = stop(self._process)
        if status:
            self.check()
        self._upf.fetch(self._work)
        report: dict[str, Any] = files.read_json(self._work / "agent.json")
        return report

    def _tell(self, word: str) -> dict[str, Any]:
        self._process.tell(word)
        return self._answer(_ANSWER_S)

    def _answer(self, patience_s: float) -> dict[str, Any]:
        """Its next line. It answers each command with one."""
        deadline = time.monotonic() + patience_s
        while (line := self._process.hear(_LOOK_S)) is None:
            self.check()
            if time.monotonic() > deadline:
                raise UserError(f"the agent on the UPF does not answer within {patience_s:.0f} s", f"see {self._log}")
        if not line:
            self._process.wait()
            self.check()
        answer: dict[str, Any] = json.loads(line)
        return answer


def loss(report: Mapping[str, Any]) -> dict[str, float]:
    """How many events the kernel made, and how many user space got. Takes an agent's report."""
    made = sum(report["counters"].get(name, 0) for name in ("event_sent", "event_lost"))
    lost = made - report["received"]
    return {"received": report["received"], "lost": lost, "rate": lost / made if made else 0.0}
