"""GStreamer's commands, kept from writing anywhere but in a folder of the session's."""

from __future__ import annotations

from pathlib import Path

from upfml.testbed.host import Host


def command(host: Host, home: Path, *argv: str) -> list[str]:
    """The command line `argv` on a host, which writes only below `home`.

    It scans GStreamer's plugins only when no other has in this home: GST_REGISTRY_UPDATE=no keeps what is there.
    """
    there = host.path(home)
    settings = [f"HOME={there}", f"XDG_RUNTIME_DIR={there}", f"GST_REGISTRY={there}/gstreamer-registry.bin"]
    # souphttpsrc would follow http_proxy out of the test bed.
    return ["env", "-u", "http_proxy", *settings, "GST_REGISTRY_UPDATE=no", *argv]


def home(workdir: Path) -> Path:
    """The folder for all of a session's GStreamer programs."""
    return workdir / "gstreamer-home"


def check(host: Host, home: Path) -> list[str]:
    """A command that scans the plugins into the registry, and fails when the DASH demultiplexer is not installed."""
    return command(host, home, "gst-inspect-1.0", "dashdemux2")
