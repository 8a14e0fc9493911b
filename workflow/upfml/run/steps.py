"""Steps that a trace and a trial share: seed, traffic, waiting, labels."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from upfml.provision import IDLE_WANTED_PCT
from upfml.run.meter import MeterProcess
from upfml.testbed.bed import Bed
from upfml.traffic.session import Session

log = logging.getLogger(__name__)

IDLE_PATIENCE_S = 20.0
"""A run waits this long for the machine to be IDLE_WANTED_PCT idle; then it goes on and records what it saw."""
_TEND_S = 0.1


def trial_seed(config: Mapping[str, Any], trial: int) -> int:
    """The seed of a trial's traffic. Each trial has another; trial 0 is the training trace."""
    return int(config["seed"]) * 1_000_000 + trial


def session(
    config: Mapping[str, Any], bed: Bed, *, seed: int, ladder: Path, control: Path, work: Path, duration_s: float
) -> Session:
    """The traffic of a run, for `duration_s`. The traffic stage made `ladder` and `control`."""
    return Session(
        config["traffic"], seed=seed, ran=bed.ran, dn=bed.dn, ue_address=bed.ue_address, dn_address=bed.dn_address,
        ladder=ladder, control=control, workdir=work / "traffic", duration_s=duration_s,
    )  # fmt: skip


def keep_going(seconds: float, *tend: Callable[[], None]) -> None:
    """Call each of `tend` ten times a second, for so long."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        for call in tend:
            call()
        time.sleep(max(0.0, min(_TEND_S, until_s - time.monotonic())))


def wait_for_idle(meter: MeterProcess) -> float:
    """Wait until the UPF's machine is idle enough, or patience ends. Returns how idle it is, in %."""
    deadline = time.monotonic() + IDLE_PATIENCE_S
    while (idle := meter.idle_pct()) < IDLE_WANTED_PCT and time.monotonic() < deadline:
        pass
    if idle < IDLE_WANTED_PCT:
        log.warning("the machine is only %.0f%% idle (wanted: %.0f%%); the run says so", idle, IDLE_WANTED_PCT)
    return idle


def label(decisions: pd.DataFrame, flows: pd.DataFrame) -> pd.DataFrame:
    """Decisions with the true classes of their flows; -1 for flows that no generator made."""
    return decisions.assign(label=decisions["flow"].map(flows.set_index("flow")["label"]).fillna(-1).astype("int8"))
