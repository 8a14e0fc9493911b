"""Checks of the programs that the experiment starts on a host: whether each is there, and its version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from upfml.provision.checkedhost import SET_UP, CheckedHost
from upfml.provision.finding import Finding, Verdict

TOOLS = {
    "mpstat": "-V",
    "pidstat": "-V",
    "nginx": "-v",
    "ffmpeg": "-version",
    "gst-launch-1.0": "--version",
    "gcc": "--version",
    "nsenter": "--version",
    "curl": "--version",
    "ITGSend": "-h",
    "mosquitto": "-h",
    "mosquitto_pub": "--version",
}
"""What a single machine needs when it plays all three roles. Values: the option that prints the version."""

PLAYER_ELEMENTS = {  # what the player needs for a DASH stream of H.264 over HTTP, with Debian's package
    "urisourcebin": "gstreamer1.0-plugins-base",
    "souphttpsrc": "gstreamer1.0-plugins-good",
    "dashdemux2": "gstreamer1.0-plugins-good",
    "qtdemux": "gstreamer1.0-plugins-good",
    "h264parse": "gstreamer1.0-plugins-bad",
}
FURTHER_ELEMENTS = {  # what further applications need
    "opusenc": "gstreamer1.0-plugins-base",
    "rtpopuspay": "gstreamer1.0-plugins-good",
    "udpsink": "gstreamer1.0-plugins-good",
}
ELEMENTS = PLAYER_ELEMENTS | FURTHER_ELEMENTS


def tools(
    host: CheckedHost, wanted: Mapping[str, str] = TOOLS, remedy: str = SET_UP, otherwise: Verdict = "failed"
) -> Iterator[Finding]:
    """Each tool's version."""
    for name, version_option in wanted.items():
        done = host.run([name, version_option])
        version = re.search(r"\d+(\.\d+)+", (done.stdout + done.stderr).replace(name, ""))
        # Some tools print their version with a status other than 0. 127 is the shell's "no such command".
        ok = done.returncode < 124 and version is not None
        found = version[0] if ok and version else done.stderr.strip() or f"status {done.returncode}"
        yield host.finding(name, found, "any version", ok, remedy, otherwise)


def encoder(host: CheckedHost) -> Iterator[Finding]:
    """Whether ffmpeg can encode the video."""
    ok = "libx264" in (host.ask("ffmpeg", "-hide_banner", "-encoders") or "")
    remedy = f"{SET_UP}, or install an ffmpeg with libx264"
    yield host.finding("ffmpeg's encoder libx264", "there" if ok else "not there", "there", ok, remedy)


def elements(
    host: CheckedHost, wanted: Mapping[str, str] = ELEMENTS, otherwise: Verdict = "failed"
) -> Iterator[Finding]:
    """Elements of GStreamer."""
    for element, package in wanted.items():
        ok = host.run(["gst-inspect-1.0", "--exists", element]).returncode == 0
        remedy = f"{SET_UP}, which installs package {package} (1.22 or newer)"
        yield host.finding(f"GStreamer's {element}", "there" if ok else "not there", "there", ok, remedy, otherwise)


def player(host: CheckedHost) -> Iterator[Finding]:
    """Whether the player starts. It uses GStreamer from Python."""
    done = host.run([host.python, "-m", "upfml.traffic.player", "--help"])
    found = "starts" if done.returncode == 0 else " ".join(done.stderr.split())[-200:]
    yield host.finding("player (GStreamer from Python)", found, "starts", done.returncode == 0, SET_UP)
