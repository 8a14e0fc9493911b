"""The job of an agent: the contract between agentprocess.py, which starts the agent, and the agent (agent.py)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upfml.arms import Arm
from upfml.base import files
from upfml.bpf.delivery import Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.classify.uplink import Uplink
from upfml.packets.features import Definition


@dataclass(frozen=True)
class Job:
    """One agent's work; written as JSON so that it can be handed to another machine."""

    arm: Arm
    device: str  # the UPF's N3
    xdp_mode: str  # as configured: auto, offload, native or generic
    out: Path  # folder for what it writes
    definition: Definition | None  # of windows and features, for arms that classify
    flow_table: FlowTable
    delivery: Delivery
    model: Path | None  # folder written by convert.write, for arms that classify
    uplink: Uplink  # for arms that forward packets themselves

    @property
    def needed_model(self) -> Path:
        """The model, for arms that classify."""
        assert self.model is not None
        return self.model

    @property
    def needed_definition(self) -> Definition:
        """The windows and features, for arms that classify."""
        assert self.definition is not None
        return self.definition

    def write(self, path: Path) -> None:
        """Write it for an agent to read."""
        files.write_json({key: str(v) if isinstance(v, Path) else v for key, v in asdict(self).items()}, path)

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` wrote."""
        content: dict[str, Any] = files.read_json(path)
        content["arm"] = Arm(**content["arm"])
        content["out"] = Path(content["out"])
        content["definition"] = Definition(**content["definition"]) if content["definition"] else None
        content["flow_table"] = FlowTable(**content["flow_table"])
        content["delivery"] = Delivery(**content["delivery"])
        content["uplink"] = Uplink(**content["uplink"])
        content["model"] = Path(content["model"]) if content["model"] else None
        return cls(**content)
