"""GStreamer's commands, kept from writing anywhere but in a folder of the session's."""

from __future__ import annotations

from pathlib import Path


def command(home: Path, *argv: str) -> list[str]:
    """The command line `argv`, which writes only below `home`, and scans GStreamer's plugins only the first time."""
    registry = home / "gstreamer-registry.bin"
    settings = [f"HOME={home}", f"XDG_RUNTIME_DIR={home}", f"GST_REGISTRY={registry}"]
    # souphttpsrc would follow http_proxy out of the test bed.
    environment = [*settings, f"GST_REGISTRY_UPDATE={'no' if registry.exists() else 'yes'}"]
    return ["env", "-u", "http_proxy", *environment, *argv]


def home(workdir: Path) -> Path:
    """The folder for all of a session's GStreamer programs."""
    return workdir / "gstreamer-home"


def check(home: Path) -> list[str]:
    """A command that scans the plugins into the registry, and fails when the DASH demultiplexer is not installed."""
    return command(home, "gst-inspect-1.0", "dashdemux2")
