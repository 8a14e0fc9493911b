"""A DASH client on GStreamer: it fetches, adapts by GStreamer's rules and plays in real time, but decodes nothing.

    python -m upfml.traffic.player URI BUFFER_S

The encoded frames go to a sink that drops each when it is due. What the network sees is the same as with a decoder, at
a fraction of its CPU time. Like players in browsers it fetches BUFFER_S seconds ahead and then pauses between segments.
GStreamer's own limit, 30 seconds, is longer than most stays, so that a client would do nothing but fill its buffer.
Ends with status 0 at the end of the video, and with status 1 and GStreamer's message on an error.
"""

from __future__ import annotations

import argparse
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402  # only after the version is chosen


def play(uri: str, buffer_s: float) -> str | None:
    """Play to the end; GStreamer's message when it cannot."""
    Gst.init(None)
    player = Gst.Pipeline.new()
    source = Gst.ElementFactory.make("urisourcebin")
    source.set_property("parse-streams", True)  # dashdemux2 is used only where streams are parsed
    source.set_property("uri", uri)
    source.connect("pad-added", _to_sink, player)
    player.connect("deep-element-added", _limit_buffer, int(buffer_s * Gst.SECOND))
    player.add(source)
    player.set_state(Gst.State.PLAYING)
    ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = player.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, ends)
    player.set_state(Gst.State.NULL)
    return str(message.parse_error()) if message.type == Gst.MessageType.ERROR else None


def _to_sink(_source: Gst.Element, pad: Gst.Pad, player: Gst.Pipeline) -> None:
    """Have a stream's frames dropped when they are due."""
    sink = Gst.ElementFactory.make("fakesink")
    sink.set_property("sync", True)
    player.add(sink)
    pad.link(sink.get_static_pad("sink"))
    sink.sync_state_with_parent()


def _limit_buffer(_player: Gst.Element, _bin: Gst.Bin, element: Gst.Element, buffer_ns: int) -> None:
    if element.get_factory().get_name() == "dashdemux2":
        element.set_property("max-buffering-time", buffer_ns)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m upfml.traffic.player", description=__doc__)
    parser.add_argument("uri", help="of the manifest")
    parser.add_argument("buffer_s", type=float, help="how far to fetch ahead, seconds")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a viewer who leaves: no good-byes
    error = play(arguments.uri, arguments.buffer_s)
    if error:
        print(f"error: {error}", file=sys.stderr)
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
