"""The agent (upfml/agent.py) as whoever measures sees it: a process on the UPF that is started, watched and ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upfml import tables
from upfml.delivery import Delivery
from upfml.errors import UserError
from upfml.features import Definition
from upfml.flowtable import FlowTable
from upfml.job import Job
from upfml.testbed.host import stop
from upfml.testbed.namespaces import Namespaces

XDP_MODE = "native"
_START_S = 60.0
_END_S = 600.0


class AgentProcess:
    """The process on the UPF, from its start until it has written its table."""

    def __init__(self, config: Mapping[str, Any], arm: str, bed: Namespaces, model: Path | None, work: Path) -> None:
        """Start it."""
        definition = Definition.of(config["features"])
        job = Job(
            arm=arm, device=bed.n3_device, xdp_mode=XDP_MODE, out=work.resolve(), window_ns=definition.window_ns,
            iat_unit_ns=definition.iat_unit_ns, flow_table=FlowTable.of(config["flow_table"]),
            delivery=Delivery.of(config["delivery"]), when=config["classify"]["when"] if model else "",
            emit=config["classify"]["emit"] if model else "", model=model.resolve() if model else None,
        )  # fmt: skip
        self._work, self._log = work, work / "agent.log"
        self._ready = work / "ready"
        for left_over in (self._ready, self._log):
            left_over.unlink(missing_ok=True)
        job.write(work / "job.json")
        self._process = bed.upf.start([sys.executable, "-m", "upfml.agent", work / "job.json"], log=self._log)
        self.pid = self._process.pid

    def wait_until_ready(self) -> None:
        """Return once it sees packets. Raises UserError when it ends or takes too long."""
        deadline = time.monotonic() + _START_S
        while not self._ready.exists():
            self.check()
            if time.monotonic() > deadline:
                raise UserError(f"the agent on the UPF is not ready after {_START_S:.0f} s", f"see {self._log}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raise UserError, with what it said last, when it has ended."""
        if self._process.poll() is not None:
            tail = self._log.read_text(errors="replace")[-2000:]
            raise UserError(f"the agent on the UPF ended early:\n{tail}", f"see {self._log}")

    def end(self) -> dict[str, Any]:
        """Have it write its table; its own report (agent.json)."""
        if stop(self._process, grace_s=_END_S):
            self.check()
        report: dict[str, Any] = tables.read_json(self._work / "agent.json")
        return report


def loss(report: Mapping[str, Any]) -> dict[str, float]:
    """Events that the kernel made, against those that user space got. Takes what `end` gives."""
    made = sum(report["counters"].get(name, 0) for name in ("event_sent", "event_lost"))
    lost = made - report["received"]
    return {"received": report["received"], "lost": lost, "rate": lost / made if made else 0.0}
