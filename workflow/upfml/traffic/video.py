"""eMBB: adaptive streaming. nginx on the UE serves the DASH ladder; GStreamer's players fetch it, and choose the rungs.

Every player asks under a name of its own (/client-3/manifest.mpd), which the relative names in the manifest inherit:
so one access log tells client, rung, segment and, with the player's port, the flow.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml import tables
from upfml.flowkey import TCP, flow_id
from upfml.traffic.ladder import MANIFEST

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


_LOG_FORMAT = "$msec $remote_addr $remote_port $connection $request_uri $bytes_sent $request_time"


def server_config(workdir: Path, ladder: Path, address: str) -> str:
    """nginx's configuration, which keeps every file that nginx writes within `workdir` (absolute, as `ladder`)."""
    temporary = "\n".join(
        f'    {name}_temp_path "{workdir}/nginx-temp/{name}";'
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # One process, no master: it dies with the run that started it, also after a kill, and pidstat sees all of it.
    return f"""daemon off;
master_process off;
pid "{workdir}/nginx.pid";
error_log stderr;
events {{ worker_connections 512; }}
http {{
{temporary}
    log_format flows "{_LOG_FORMAT}";
    access_log "{workdir}/access.log" flows;
    types {{ application/dash+xml mpd; video/mp4 m4s; }}
    sendfile on;
    server {{
        listen {address}:{PORT};
        location ~ "^/client-[0-9]+/(?<file>[^/]+)$" {{ alias "{ladder}/$file"; }}
    }}
}}
"""


def server(workdir: Path) -> list[str]:
    """nginx's command line, for the configuration in `workdir`/nginx.conf."""
    return ["nginx", "-e", "stderr", "-p", str(workdir), "-c", str(workdir / "nginx.conf")]


def _gstreamer(home: Path) -> list[str]:
    """What goes before a GStreamer command: it writes only below `home`, and scans its plugins only once."""
    registry = home / "gstreamer-registry.bin"
    settings = [f"HOME={home}", f"XDG_RUNTIME_DIR={home}", f"GST_REGISTRY={registry}"]
    # souphttpsrc would follow http_proxy out of the test bed.
    return ["env", "-u", "http_proxy", *settings, f"GST_REGISTRY_UPDATE={'no' if registry.exists() else 'yes'}"]


def check_player(home: Path) -> list[str]:
    """A command that scans the plugins into the registry, and fails when the DASH demultiplexer is not installed."""
    return [*_gstreamer(home), "gst-inspect-1.0", "dashdemux2"]


def player(home: Path, address: str, client: str, buffer_s: float) -> list[str]:
    """The command line of a player (player.py) that fetches up to `buffer_s` seconds ahead."""
    uri = f"http://{address}:{PORT}/{client}/{MANIFEST}"
    return [*_gstreamer(home), sys.executable, "-m", "upfml.traffic.player", uri, str(buffer_s)]


_REQUEST = re.compile(
    r"(?P<t_s>[\d.]+) (?P<address>\S+) (?P<port>\d+) \d+ /(?P<client>client-\d+)/(?P<file>\S+) "
    r"(?P<bytes>\d+) (?P<duration_s>[\d.]+)"
)
_SEGMENT = re.compile(r"rung-(?P<rung>\d+)-(?P<segment>\d+)\.m4s")


def _requests(access_log: str) -> pd.DataFrame:
    """One row a request that a player made: t_s (epoch, when it ended), address, port, client, file, bytes, …."""
    found = [match.groupdict() for match in map(_REQUEST.fullmatch, access_log.splitlines()) if match]
    frame = pd.DataFrame(found, columns=list(_REQUEST.groupindex))
    return frame.astype({"t_s": "float64", "port": "int32", "bytes": "int64", "duration_s": "float64"})


def flows(access_log: str, ue: str) -> pd.DataFrame:
    """tables.FLOWS: every TCP connection on which the server at address `ue` has answered, as the uplink flow."""
    peers = _requests(access_log)[["address", "port"]].drop_duplicates()
    table = pd.DataFrame(
        {
            "flow": [
                flow_id(ue, PORT, address, port, TCP)
                for address, port in zip(peers["address"], peers["port"], strict=True)
            ],
            "src": ue,
            "dst": peers["address"].to_numpy(),
            "src_port": PORT,
            "dst_port": peers["port"].to_numpy(),
            "protocol": TCP,
            "label": tables.EMBB,
            "application": "video",
            "period_ms": np.nan,
            "payload_bytes": np.nan,
        },
    )
    return tables.typed(table, tables.FLOWS)


def rungs(access_log: str, ladder: Mapping[str, Any], began_s: float) -> pd.DataFrame:
    """tables.RUNGS: every media segment that a player asked for, by the time it asked.

    `ladder` is the content of ladder.json, `began_s` the epoch time at which the traffic began. `duration_s` ends
    when the server has handed the last byte to its socket, which for a small segment is at once.
    """
    bitrates = {rung["rung"]: rung["bitrate_mbit_s"] for rung in ladder["rungs"]}
    requests = _requests(access_log)
    media = requests["file"].str.extract(_SEGMENT)
    table = requests.join(media).dropna(subset=["segment"]).astype({"rung": "int16"})
    table["bitrate_mbit_s"] = table["rung"].map(bitrates)
    table["t_s"] = (table["t_s"] - table["duration_s"] - began_s).round(3)
    return tables.typed(table.sort_values("t_s", ignore_index=True), tables.RUNGS)
