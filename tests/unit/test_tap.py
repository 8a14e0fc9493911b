"""What the tap on N3 calls a frame."""

from __future__ import annotations

import pytest

from upfml.base.flowkey import UDP
from upfml.packets import frames
from upfml.testbed.tap import named

UE, DN = "10.60.0.1", "10.70.0.1"
UP, DOWN = (frames.inner(*ends, UDP, 60) for ends in ((UE, 4000, DN, 5001), (DN, 5001, UE, 4000)))
PING = frames.ipv4(UE, DN, 1, bytes(8))


@pytest.mark.parametrize(
    ("frame", "direction", "name"),
    [
        (frames.n3(UP, teid=0x10001), "uplink", "uplink teid 0x10001 qfi 9"),
        (frames.n3(DOWN, teid=7, qfi=None), "downlink", "downlink teid 0x7 qfi -"),
        (frames.n3(frames.inner("10.60.0.2", 1, DN, 2, UDP, 60)), "uplink", "other session"),
        (frames.n3(PING), "uplink", "inner_no_ports"),
        (bytes(12) + frames.ipv4(UE, DN, 17, frames.udp(1, 2, b"x")), "uplink", "other"),
        (bytes(12) + b"\x08\x06" + bytes(28), "uplink", "arp"),
        (b"", "uplink", "other"),
    ],
)
def test_frames_are_named_by_what_they_are_to_the_ue(frame: bytes, direction: str, name: str) -> None:
    assert named(frame, direction, UE) == name
