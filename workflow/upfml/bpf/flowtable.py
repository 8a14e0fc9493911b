"""The flow table in the kernel: how many flows it holds, and what happens when there are more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAP_TYPES = {"lru": "lru_hash", "hash": "hash"}


@dataclass(frozen=True)
class FlowTable:
    """`kind` lru: the flow that was silent for longest makes room; hash: a new flow finds none and is not followed."""

    kind: str = "lru"
    flows: int = 65_536

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> FlowTable:
        """From the `flow_table` section of config.yaml."""
        return cls(config["kind"], config["flows"])

    def defines(self) -> dict[str, int | str | None]:
        """The same for the C side."""
        return {"FLOW_TABLE_TYPE": f'"{_MAP_TYPES[self.kind]}"', "FLOW_TABLE_SIZE": self.flows}
