"""The loads that are swept: packets a second and the number of flows that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upfml.traffic.injector.schedule import Schedule


@dataclass(frozen=True)
class OfferedLoad:
    """A value of a sweep."""

    sweep: str  # rate, flows or period
    value: float  # packets/s, flows, ms
    flows: int
    packets_per_s: float

    def schedule(self, load: Mapping[str, Any]) -> Schedule:
        """What the generator sends; `load` is the section of config.yaml. Raises UserError as Schedule.of."""
        return Schedule.of(
            self.packets_per_s, self.flows, round(load["window_ms"] * 1e6), length_ns=round(load["turn_s"] * 1e9)
        )


def offered_loads(load: Mapping[str, Any]) -> list[OfferedLoad]:
    """The values of all sweeps, in the order of the configuration's section `load`."""
    rate, flows, period = load["rate"], load["flows"], load["period"]
    return [
        *(OfferedLoad("rate", value, rate["flows"], value) for value in rate["packets_per_s"]),
        *(OfferedLoad("flows", value, value, flows["packets_per_s"]) for value in flows["flows"]),
        *(
            OfferedLoad("period", value, period["flows"], 1e3 * period["flows"] / value)
            for value in period["period_ms"]
        ),
    ]
