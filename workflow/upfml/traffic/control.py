"""URLLC: control messages, planned here from a seed, sent and received by control.c.

Two applications are periodic: the robot arm (paper, section 3.3, after Kalør et al. 2018), and motion control with the
shorter cycles of 3GPP TS 22.104, table 5.2-1. Event-driven control, where the configuration asks for it, is aperiodic
(TS 22.104, clause 5.3): a message whenever something happens, here as a Poisson process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml.base import gcc, tables
from upfml.base.classes import URLLC
from upfml.base.flowkey import TCP, UDP, flow_id

FIRST_SOURCE_PORT = 40000
"""The sender's ports are fixed, so that the manifest is known before the first packet."""

SOURCE = Path(__file__).with_name("control.c")
_SEED_STREAM = 1  # keeps these draws independent of the video's
_EVENT_SEED_STREAM = 3  # and the periodic flows as they are, with events or without


def plan(config: Mapping[str, Any], seed: int, ue: str, dn: str) -> pd.DataFrame:
    """Every URLLC flow from address `ue` to `dn`, drawn from `seed`; the same seed gives the same plan.

    `config` is the configuration's `traffic`. One row is a flow, with the columns of tables.FLOWS and what the sender
    needs: spacing (periodic or events), period_ns (of events: the mean), jitter_ns, phase_ns (of the first message,
    uniform within a period) and jitter_seed.
    """
    table = _periodic(config, seed)
    if events := config.get("applications", {}).get("event_control"):
        table = pd.concat([table, _events(events, seed)], ignore_index=True)
    table = table.assign(
        src=ue, dst=dn, src_port=np.arange(FIRST_SOURCE_PORT, FIRST_SOURCE_PORT + len(table)), label=URLLC
    )
    table["period_ms"] = (table["period_ns"] / 1e6).where(table["spacing"] == "periodic")
    ports_and_protocols = zip(table["src_port"], table["dst_port"], table["protocol"], strict=True)
    table["flow"] = [flow_id(ue, source, dn, sink, protocol) for source, sink, protocol in ports_and_protocols]
    types = {name: str(column.dtype) for name, column in tables.FLOWS.columns.items()}
    return table.astype(types)[[*types, "spacing", "period_ns", "jitter_ns", "phase_ns", "jitter_seed"]]


def _periodic(config: Mapping[str, Any], seed: int) -> pd.DataFrame:
    random = np.random.default_rng([seed, _SEED_STREAM])
    arm, motion = config["robot_arm"], config["motion_control"]
    arms, motions = arm["flows"], len(motion["period_ms"])
    flows = arms + motions

    tcp_flows = random.permutation(arms) < round(arm["tcp_share"] * arms)
    shortest, longest = arm["period_ms"]
    period_ns = [*random.uniform(shortest, longest, arms) * 1e6, *np.multiply(motion["period_ms"], 1e6)]
    smallest, largest = arm["payload_bytes"]
    payload = random.integers(smallest, largest, arms, endpoint=True)
    table = pd.DataFrame(
        {
            "dst_port": [*(arm["first_port"] + np.arange(arms)), *(motion["first_port"] + np.arange(motions))],
            "protocol": [*np.where(tcp_flows, TCP, UDP), *[UDP] * motions],
            "spacing": "periodic",
            "application": ["robot-arm"] * arms + ["motion-control"] * motions,
            "period_ns": np.round(period_ns).astype("int64"),
            "payload_bytes": [*payload, *[motion["payload_bytes"]] * motions],
            "jitter_ns": [round(arm["jitter_ms"] * 1e6)] * arms + [round(motion["jitter_ms"] * 1e6)] * motions,
            "jitter_seed": random.integers(1, 2**63, flows),
        }
    )
    table["phase_ns"] = (random.uniform(0, 1, flows) * table["period_ns"]).astype("int64")
    return table


def _events(config: Mapping[str, Any], seed: int) -> pd.DataFrame:
    random = np.random.default_rng([seed, _EVENT_SEED_STREAM])
    flows, (shortest, longest) = config["flows"], config["mean_interval_ms"]
    mean_ns = np.round(random.uniform(shortest, longest, flows) * 1e6).astype("int64")
    return pd.DataFrame(
        {
            "dst_port": config["first_port"] + np.arange(flows),
            "protocol": UDP,
            "spacing": "events",
            "application": "event-control",
            "period_ns": mean_ns,
            "payload_bytes": config["payload_bytes"],
            "jitter_ns": 0,
            "jitter_seed": random.integers(1, 2**63, flows),
            "phase_ns": (random.uniform(0, 1, flows) * mean_ns).astype("int64"),
        }
    )


def lines(flows: pd.DataFrame) -> str:
    """The plan as control.c reads it: one flow a line, words in the order given at the head of control.c."""
    columns = ["protocol", "src", "src_port", "dst", "dst_port", "spacing"]
    columns += ["period_ns", "jitter_ns", "payload_bytes", "phase_ns", "jitter_seed"]
    words = flows.astype({"payload_bytes": "int64"})[columns].astype(str)
    return "".join(" ".join(row) + "\n" for row in words.itertuples(index=False))


def build(folder: Path) -> Path:
    """Compile control.c to `folder`/control and return its path. Raises UserError when gcc is missing or fails.

    Static, so that it runs on machines with another libc.
    """
    program = folder / "control"
    gcc.build(SOURCE, program, "-static", "-lm")
    return program
