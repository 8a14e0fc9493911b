"""Gaming input: D-ITG plays what game clients send, by models of packet sizes and times. Neither class.

Seen from Debian's 2.8.1 on the wire: Quake3 sends 137 packets/s of some 64 bytes, most of them 11 ms or less after the
one before; CSa (Counter-Strike, active player) 24 packets/s of some 43 bytes, nearly always 42 ms apart; CSi (idle) as
many, of 28 bytes. D-ITG cannot bind a source port (-sp, -sa: it takes an IPv6 address for an IPv4 socket), so the
sender's log tells them. Its signalling, one TCP connection to port SIGNALLING of a few packets, is in no log.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml.base.classes import NEITHER
from upfml.base.errors import UserError
from upfml.base.flowkey import UDP
from upfml.traffic import manifest
from upfml.traffic.application import HostProgram, Place, said

SIGNALLING = 9100
SENDER, RECEIVER = "gaming-sender", "gaming-receiver"
_START_S = 60.0  # the sender is told to go on for longer than the session, which ends it
_SEED_STREAM = 6
_FLOW = re.compile(r"^From (?P<src>\S+):(?P<src_port>\d+)\nTo\s+(?P<dst>\S+):(?P<dst_port>\d+)$", re.MULTILINE)


class Gaming:
    """`settings`: players (how many of each of D-ITG's models), first_port (one for each player)."""

    def __init__(self, settings: Mapping[str, Any], place: Place) -> None:
        self._settings, self._place = settings, place
        self._log = place.workdir / "gaming.itg"

    def programs(self) -> list[HostProgram]:
        """The receiver, and one sender for all players."""
        self._place.hosts["ran"].run(["rm", "-f", self._log])
        self._plan.write_text(script(self._settings, self._place))
        receive = ["ITGRecv", "-a", self._place.dn, "-Sp", str(SIGNALLING)]
        send: list[str | Path] = ["ITGSend", self._plan, "-l", self._log]
        return [
            HostProgram(RECEIVER, "dn", receive, said(self._place.workdir / f"{RECEIVER}.log", "Press Ctrl-C")),
            HostProgram(
                SENDER, "ran", send, said(self._place.workdir / f"{SENDER}.log", "Started sending"), writes=[self._log]
            ),
        ]

    def flows(self) -> pd.DataFrame:
        """The flow of each player, as the sender's log has it. Raises UserError when the log cannot be decoded."""
        decoder = subprocess.run(["ITGDec", self._log], capture_output=True, text=True, check=False)
        if decoder.returncode:
            raise UserError(
                f"ITGDec cannot read {self._log}: {decoder.stderr or decoder.stdout}", f"see {SENDER}.log beside it"
            )
        return flows(decoder.stdout)

    @property
    def _plan(self) -> Path:
        return self._place.workdir / "gaming-plan.txt"


def script(settings: Mapping[str, Any], place: Place) -> str:
    """ITGSend's script: one line a player, with a seed of its own (D-ITG takes one from 0 to 1)."""
    models = [model for model, players in settings["players"].items() for _ in range(players)]
    seeds = np.random.default_rng([place.seed, _SEED_STREAM]).uniform(size=len(models))
    length_ms = round((place.duration_s + _START_S) * 1000)
    return "".join(
        f"-a {place.dn} -rp {settings['first_port'] + player} -Sdp {SIGNALLING} -t {length_ms} -s {seed:.6f} {model}\n"
        for player, (model, seed) in enumerate(zip(models, seeds, strict=True))
    )


def flows(decoded: str) -> pd.DataFrame:
    """tables.FLOWS: every flow in what ITGDec says of the sender's log."""
    found = (flow.groupdict() for flow in _FLOW.finditer(decoded))
    ends = [(flow["src"], int(flow["src_port"]), flow["dst"], int(flow["dst_port"])) for flow in found]
    return manifest.of_application("gaming", NEITHER, UDP, ends)
