"""Voice: calls of two GStreamer pipelines, RTP with Opus and discontinuous transmission (RFC 7587). Neither class.

Who speaks when follows ITU-T P.59, table 1: talk spurts and pauses of exponential length, 1.004 s and 1.587 s in the
mean. Opus sends a packet every 20 ms while somebody speaks, and one every 400 ms in a pause.
"""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from upfml.base.classes import NEITHER
from upfml.base.flowkey import UDP
from upfml.traffic import gstreamer, manifest
from upfml.traffic.application import HostProgram, Place, said

TALK_S, PAUSE_S = 1.004, 1.587
SAMPLES_PER_S = 16_000
_START_S = 30.0  # the sound is longer than the session by this: calls begin before the last program has started
_PITCH_HZ, _SYLLABLES_PER_S = 120.0, 4.0
_SEED_STREAM = 5


class Voice:
    """`settings`: calls, first_port (two for each call, the same number on both sides), bitrate_kbit_s."""

    def __init__(self, settings: Mapping[str, Any], place: Place) -> None:
        self._place, self._bits_per_s = place, round(settings["bitrate_kbit_s"] * 1000)
        # One port to send from and one to receive at: two sockets of one process cannot share a port.
        self._ports = [(settings["first_port"] + 2 * call, settings["first_port"] + 2 * call + 1)
                       for call in range(settings["calls"])]  # fmt: skip

    def programs(self) -> list[HostProgram]:
        """Both ends of every call."""
        random = np.random.default_rng([self._place.seed, _SEED_STREAM])
        programs = []
        for call, ports in enumerate(self._ports, start=1):
            sides: tuple[tuple[Literal["ran", "dn"], str, str], ...] = (
                ("dn", self._place.dn, self._place.ue),
                ("ran", self._place.ue, self._place.dn),
            )
            for on, here, there in sides:
                name = f"voice-{call}-{on}"
                spoken = self._place.workdir / f"{name}.wav"
                write_sound(spoken, speech(random, self._place.duration_s + _START_S))
                log = self._place.workdir / f"{name}.log"
                programs.append(
                    HostProgram(name, on, self._call(on, spoken, here, there, *ports), said(log, "PLAYING"))
                )
        return programs

    def _call(
        self, on: Literal["ran", "dn"], spoken: Path, here: str, there: str, sending: int, receiving: int
    ) -> list[str]:
        host = self._place.hosts[on]
        send = (
            f"filesrc location={host.path(spoken)} ! wavparse ! audioconvert ! audioresample "
            f"! opusenc audio-type=voice dtx=true bitrate={self._bits_per_s} ! rtpopuspay dtx=true "
            f"! udpsink host={there} port={receiving} bind-address={here} bind-port={sending}"
        )
        receive = f"udpsrc address={here} port={receiving} ! fakesink async=false sync=false"
        words = f"{send} {receive}".split()
        return gstreamer.command(host, gstreamer.home(self._place.workdir), "gst-launch-1.0", *words)

    def flows(self) -> pd.DataFrame:
        """What the UE sends of each call."""
        ends = [(self._place.ue, sending, self._place.dn, receiving) for sending, receiving in self._ports]
        return manifest.of_application("voice", NEITHER, UDP, ends)


def speech(random: np.random.Generator, length_s: float) -> NDArray[np.float64]:
    """Samples in [-1, 1] of at least `length_s` seconds: talk spurts, a voiced sound in syllables, and pauses."""
    parts: list[NDArray[np.float64]] = []
    while sum(map(len, parts)) < length_s * SAMPLES_PER_S:
        t_s = np.arange(round(random.exponential(TALK_S) * SAMPLES_PER_S)) / SAMPLES_PER_S
        phase = 2 * np.pi * _PITCH_HZ * (t_s + 0.003 * np.sin(2 * np.pi * t_s))  # the pitch rises and falls
        sound = sum((np.sin(harmonic * phase) / harmonic for harmonic in range(1, 20)), start=np.zeros(len(t_s)))
        loudness = 0.6 + 0.4 * np.sin(2 * np.pi * _SYLLABLES_PER_S * t_s)
        parts += [sound * loudness / 2, np.zeros(round(random.exponential(PAUSE_S) * SAMPLES_PER_S))]
    return np.clip(np.concatenate(parts), -1, 1)


def write_sound(path: Path, samples: NDArray[np.float64]) -> None:
    """Write samples in [-1, 1] as a WAV file, one channel of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLES_PER_S)
        file.writeframes((samples * 32_000).astype("<i2").tobytes())
