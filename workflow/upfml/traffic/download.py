"""Download: curl on the UE fetches files from nginx in the data network, one connection a file. True class: eMBB.

N3's uplink carries the requests and TCP's acknowledgements. The server paces each client to a rate, as servers of
files and of mobile operators do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from upfml.base.classes import EMBB
from upfml.base.flowkey import TCP
from upfml.traffic import manifest
from upfml.traffic.application import HostProgram, Place
from upfml.traffic.webserver import WebServer, requests

PORT = 8080
SERVER = "download-server"
_FILE = "file"
_SEED_STREAM = 4


class Download:
    """`settings`: clients, rate_mbit_s ([lowest, highest], drawn uniformly for each), file_mbyte."""

    def __init__(self, settings: Mapping[str, Any], place: Place) -> None:
        self._place, self._file_bytes = place, round(settings["file_mbyte"] * 1e6)
        random = np.random.default_rng([place.seed, _SEED_STREAM])
        lowest, highest = settings["rate_mbit_s"]
        self._rates_mbit_s = random.uniform(lowest, highest, settings["clients"])
        self._folder = place.workdir / SERVER
        # limit_rate takes bytes a second; every file has a connection of its own.
        served = place.hosts["dn"].path(self._folder)
        files = f'location / {{ root "{served}"; limit_rate $arg_rate; keepalive_timeout 0; }}'
        self._server = WebServer(place.hosts["dn"], self._folder, place.dn, PORT, files)

    def programs(self) -> list[HostProgram]:
        """The server, and a client for each rate."""
        self._folder.mkdir(exist_ok=True)
        with (self._folder / _FILE).open("wb") as file:
            file.truncate(self._file_bytes)
        serve = self._server.prepare()
        server = HostProgram(SERVER, "dn", serve, self._server.listens, self._server)
        clients = [
            HostProgram(f"download-{number}", "ran", self._fetch(rate))
            for number, rate in enumerate(self._rates_mbit_s, start=1)
        ]
        return [server, *clients]

    def _fetch(self, rate_mbit_s: float) -> list[str]:
        """Fetch the file again and again: curl counts [1-N] through, and the server ignores the number."""
        often = f"http://{self._place.dn}:{PORT}/{_FILE}?rate={round(rate_mbit_s * 1e6 / 8)}&again=[1-1000000]"
        quietly = ["curl", "--noproxy", "*", "--silent", "--show-error", "--output", "/dev/null"]
        # From the UE's address, which is what leads into the tunnel where the default route does not.
        return [*quietly, "--interface", self._place.ue, often]

    def flows(self) -> pd.DataFrame:
        """Every connection on which the server has answered."""
        return flows(self._server.log(), self._place.dn)


def flows(access_log: str, dn: str) -> pd.DataFrame:
    """tables.FLOWS: the uplink flow of every connection in the access log of the server at `dn`."""
    peers = requests(access_log)
    ends = [(peer, port, dn, PORT) for peer, port in zip(peers["address"], peers["port"], strict=True)]
    return manifest.of_application("download", EMBB, TCP, ends)
