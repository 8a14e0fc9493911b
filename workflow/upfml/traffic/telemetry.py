"""Telemetry: sensors that publish over MQTT, mosquitto_pub on the UE to mosquitto in the data network. Neither class.

Each sensor keeps one TCP connection and publishes with QoS 1 (MQTT 3.1.1, section 4.3): the broker acknowledges every
message, and TCP acknowledges that on the uplink.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from upfml.base.classes import NEITHER
from upfml.base.flowkey import TCP
from upfml.traffic import manifest
from upfml.traffic.application import HostProgram, Place, said

PORT = 1883
BROKER = "telemetry-broker"
_SEED_STREAM = 7
_CONNECTED = re.compile(r"New client connected from (?P<address>\S+):(?P<port>\d+) as sensor-\d+ ")


class Telemetry:
    """`settings`: sensors, interval_s ([shortest, longest], drawn uniformly for each), payload_bytes."""

    def __init__(self, settings: Mapping[str, Any], place: Place) -> None:
        self._place, self._payload_bytes = place, settings["payload_bytes"]
        random = np.random.default_rng([place.seed, _SEED_STREAM])
        shortest, longest = settings["interval_s"]
        self._intervals_s = random.uniform(shortest, longest, settings["sensors"])

    def programs(self) -> list[HostProgram]:
        """The broker, and the sensors."""
        configuration = self._place.workdir / "mosquitto.conf"
        configuration.write_text(
            f"listener {PORT} {self._place.dn}\nallow_anonymous true\npersistence false\nuser root\n"
            "log_dest stderr\nlog_type notice\nlog_type information\nconnection_messages true\n"
        )
        log = self._place.workdir / f"{BROKER}.log"
        broker = HostProgram(BROKER, "dn", ["mosquitto", "-c", configuration], said(log, "running"))
        sensors = [
            HostProgram(f"telemetry-{number}", "ran", self._publish(number, interval_s))
            for number, interval_s in enumerate(self._intervals_s, start=1)
        ]
        return [broker, *sensors]

    def _publish(self, number: int, interval_s: float) -> list[str]:
        to = ["mosquitto_pub", "-h", self._place.dn, "-p", str(PORT), "-A", self._place.ue, "-i", f"sensor-{number}"]
        what = ["-q", "1", "-t", f"plant/{number}", "-m", "x" * self._payload_bytes]
        return [*to, *what, "--repeat", "1000000", "--repeat-delay", f"{interval_s:.6f}"]

    def flows(self) -> pd.DataFrame:
        """The connection of each sensor, as the broker's log has it."""
        return flows((self._place.workdir / f"{BROKER}.log").read_text(), self._place.dn)


def flows(broker_log: str, dn: str) -> pd.DataFrame:
    """tables.FLOWS: every connection of a sensor in the log of the broker at `dn`."""
    ends = [(client["address"], int(client["port"]), dn, PORT) for client in _CONNECTED.finditer(broker_log)]
    return manifest.of_application("telemetry", NEITHER, TCP, ends)
