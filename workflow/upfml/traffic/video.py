"""eMBB: adaptive streaming. nginx on the UE serves the DASH ladder; GStreamer's players fetch it, and choose the rungs.

Every player asks under a name of its own (/client-3/manifest.mpd), which the relative names in the manifest inherit:
so one access log tells client, rung, segment and, with the player's port, the flow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml.base import tables
from upfml.base.classes import EMBB
from upfml.base.flowkey import TCP
from upfml.testbed.host import Host
from upfml.traffic import gstreamer, manifest
from upfml.traffic.ladder import MANIFEST
from upfml.traffic.webserver import WebServer, requests

PORT = 80
ARRIVAL_SPREAD_S = 3.0
"""The first clients arrive within this time, not in step."""
PAUSE_S = (0.5, 2.0)
"""From a client's leave to the next one's arrival."""

_SEED_STREAM = 2  # keeps these draws independent of the control plan's


@dataclass(frozen=True)
class Visit:
    """One client's stay, in seconds since the traffic began."""

    client: str
    arrive_s: float
    leave_s: float


def visits(video: Mapping[str, Any], seed: int, duration_s: float) -> list[Visit]:
    """Who watches when: all visits that begin before `duration_s`, by arrival; at most `clients` overlap.

    `video` is the configuration's `traffic.video`. The first client arrives at 0, the others of the first round
    within ARRIVAL_SPREAD_S. Nobody stays longer than the video.
    """
    random = np.random.default_rng([seed, _SEED_STREAM])
    stays = []
    for place in range(video["clients"]):
        arrive = random.uniform(0, ARRIVAL_SPREAD_S) if place else 0.0
        while arrive < duration_s:
            leave = arrive + min(random.uniform(*video["watch_s"]), video["length_s"])
            stays.append((float(arrive), float(leave)))
            arrive = leave + random.uniform(*PAUSE_S)
    return [Visit(f"client-{number}", *stay) for number, stay in enumerate(sorted(stays), start=1)]


def server(host: Host, folder: Path, ladder: Path, address: str) -> WebServer:
    """The server of the ladder in the folder `ladder`."""
    files = f'location ~ "^/client-[0-9]+/(?<file>[^/]+)$" {{ alias "{host.path(ladder)}/$file"; }}'
    return WebServer(host, folder, address, PORT, files)


def player(host: Host, home: Path, address: str, client: str, buffer_s: float) -> list[str]:
    """The command line of a player (player.py) that fetches up to `buffer_s` seconds ahead."""
    uri = f"http://{address}:{PORT}/{client}/{MANIFEST}"
    return gstreamer.command(host, home, host.python, "-m", "upfml.traffic.player", uri, str(buffer_s))


_FILE = re.compile(r"/(?P<client>client-\d+)/(?P<file>\S+)")
_SEGMENT = re.compile(r"rung-(?P<rung>\d+)-(?P<segment>\d+)\.m4s")


def flows(access_log: str, ue: str) -> pd.DataFrame:
    """tables.FLOWS: every TCP connection on which the server at address `ue` has answered, as the uplink flow."""
    peers = requests(access_log)
    ends = [(ue, PORT, peer, port) for peer, port in zip(peers["address"], peers["port"], strict=True)]
    return manifest.of_application("video", EMBB, TCP, ends)


def rungs(access_log: str, ladder: Mapping[str, Any], began_s: float) -> pd.DataFrame:
    """tables.RUNGS: every media segment that a player asked for, by the time it asked.

    `ladder` is the content of ladder.json, `began_s` the epoch time at which the traffic began. `duration_s` ends
    when the server has handed the last byte to its socket, which for a small segment is at once.
    """
    bitrates = {rung["rung"]: rung["bitrate_mbit_s"] for rung in ladder["rungs"]}
    asked = requests(access_log)
    table = asked.join(asked["uri"].str.extract(_FILE))
    table = table.join(table["file"].str.extract(_SEGMENT)).dropna(subset=["segment"]).astype({"rung": "int16"})
    table["bitrate_mbit_s"] = table["rung"].map(bitrates)
    table["t_s"] = (table["t_s"] - table["duration_s"] - began_s).round(3)
    return tables.typed(table.sort_values("t_s", ignore_index=True), tables.RUNGS)
