"""Captures into batches of frames: formats, link layers, plain IP, and what is no capture. No root needed."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.captures import COOKED, COOKED2, ETHERNET, RAW, START_NS, WIFI, write_pcap

from upfml.base.errors import UserError
from upfml.base.flowkey import TCP, UDP
from upfml.bpf.testrun import FRAME_BYTES_MAX, RECORD
from upfml.packets import frames
from upfml.packets.capturefile import CaptureFile

PCAPS = Path(__file__).parents[3] / "shared/pcaps"
MACS = bytes(range(12))
IPV4 = frames.inner("10.60.0.1", 40_000, "10.70.0.1", 5_001, UDP, 200)
IPV6 = frames.inner("2001:db8::1", 40_000, "2001:db8::2", 5_001, TCP, 300)
ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}
COOKED_START = struct.pack("!HHH8s", 0, 1, 6, bytes(8))
COOKED2_REST = struct.pack("!HIHBB8s", 0, 3, 1, 0, 6, bytes(8))


def link(inner: bytes, link_type: int, ethertype: bytes | None = None) -> bytes:
    """An IP packet under a link layer."""
    kind = ethertype or ETHERTYPE[inner[0] >> 4]
    headers = {ETHERNET: MACS + kind, COOKED: COOKED_START + kind, COOKED2: kind + COOKED2_REST, RAW: b""}
    return headers[link_type] + inner


def read(path: Path, *, plain: bool = False, records: int = 3, batch_bytes: int = 1 << 16) -> list[tuple[int, bytes]]:
    """(arrival in ns, frame) of every record."""
    batch = np.zeros(batch_bytes, np.uint8)
    found = []
    with CaptureFile(path, plain=plain) as capture:
        while count := capture.read(batch, records):
            at = 0
            for _ in range(count):
                header = batch[at : at + RECORD.itemsize].view(RECORD)[0]
                size = int(header["frame_bytes"])
                found.append((int(header["t_ns"]), batch[at + RECORD.itemsize :][:size].tobytes()))
                at += RECORD.itemsize + -(-size // 8) * 8
        assert capture.totals.packets == len(found) + capture.totals.frames_too_short
        assert capture.totals.file_bytes == path.stat().st_size
    return found


def test_ethernet_comes_as_it_is_to_the_nanosecond(tmp_path: Path) -> None:
    packets = [(START_NS + 7 * i, link(IPV4, ETHERNET) + bytes(i)) for i in range(20)]
    assert read(write_pcap(tmp_path / "a.pcap", packets)) == packets
    assert read(write_pcap(tmp_path / "a.pcap", packets), batch_bytes=7_000) == packets  # room for two at a time


@pytest.mark.parametrize("link_type", [COOKED, COOKED2, RAW])
def test_other_link_layers_become_ethernet(tmp_path: Path, link_type: int) -> None:
    path = write_pcap(tmp_path / "a.pcap", [(1, link(IPV4, link_type)), (2, link(IPV6, link_type))], link_type)
    expected = [(1, bytes(12) + b"\x08\x00" + IPV4), (2, bytes(12) + b"\x86\xdd" + IPV6)]
    assert read(path) == expected


@pytest.mark.parametrize("link_type", [ETHERNET, COOKED, COOKED2, RAW])
@pytest.mark.parametrize("inner", [IPV4, IPV6], ids=["ipv4", "ipv6"])
def test_plain_ip_comes_in_a_tunnel(tmp_path: Path, link_type: int, inner: bytes) -> None:
    path = write_pcap(tmp_path / "a.pcap", [(1, link(inner, link_type))], link_type)
    assert read(path, plain=True) == [(1, frames.n3(inner, teid=0, qfi=None))]


@pytest.mark.parametrize("link_type", [ETHERNET, COOKED])
def test_plain_looks_through_tags(tmp_path: Path, link_type: int) -> None:
    tagged = link(b"\x00\x05\x81\x00\x00\x07\x08\x00" + IPV4, link_type, ethertype=b"\x88\xa8")
    path = write_pcap(tmp_path / "a.pcap", [(1, tagged)], link_type)
    assert read(path, plain=True) == [(1, frames.n3(IPV4, teid=0, qfi=None))]


def test_what_is_not_ip_stays_as_it_is(tmp_path: Path) -> None:
    arp = MACS + b"\x08\x06" + bytes(28)
    tagged_arp = MACS + b"\x81\x00\x00\x07\x08\x06" + bytes(28)
    path = write_pcap(tmp_path / "a.pcap", [(1, arp), (2, tagged_arp)])
    assert read(path, plain=True) == [(1, arp), (2, tagged_arp)]


def test_lengths_of_the_tunnel_are_those_on_the_wire(tmp_path: Path) -> None:
    """A capture that kept only the first bytes of each packet (tcpdump -s)."""
    frame = link(IPV4, ETHERNET)
    text = write_pcap(tmp_path / "a.pcap", [(1, frame[:60])]).read_bytes()
    (tmp_path / "a.pcap").write_bytes(text[:36] + struct.pack("<I", len(frame)) + text[40:])
    assert read(tmp_path / "a.pcap", plain=True) == [(1, frames.n3(IPV4, teid=0, qfi=None)[: 50 + 60 - 14])]


@pytest.mark.parametrize("plain", [False, True])
def test_long_frames_are_cut_and_short_ones_counted(tmp_path: Path, plain: bool) -> None:
    long = link(frames.inner("10.60.0.1", 1, "10.70.0.1", 2, UDP, 8_900), ETHERNET)
    path = write_pcap(tmp_path / "a.pcap", [(1, long), (2, MACS), (3, b"")])
    with CaptureFile(path, plain=plain) as capture:
        batch = np.zeros(1 << 16, np.uint8)
        assert capture.read(batch, 10) == 1
        assert batch[: RECORD.itemsize].view(RECORD)["frame_bytes"][0] == FRAME_BYTES_MAX
        assert (capture.totals.frames_cut, capture.totals.frames_too_short) == (1, 2)
        assert (capture.totals.packets, capture.totals.first_ns, capture.totals.last_ns) == (3, 1, 3)
        assert capture.read(batch, 10) == 0


def block(kind: int, content: bytes, order: str) -> bytes:
    """A block of a pcapng file."""
    content += bytes(-len(content) % 4)
    return struct.pack(f"{order}II", kind, 12 + len(content)) + content + struct.pack(f"{order}I", 12 + len(content))


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_of_two_interfaces_with_their_own_snapshot_lengths_and_clocks(tmp_path: Path, order: str) -> None:
    nanoseconds = struct.pack(f"{order}HHB3xHH", 9, 1, 9, 0, 0)  # if_tsresol; the default is microseconds
    pieces = [
        block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order),
        block(1, struct.pack(f"{order}HHI", ETHERNET, 0, 96), order),
        block(1, struct.pack(f"{order}HHI", ETHERNET, 0, 65_536) + nanoseconds, order),
    ]
    frame = link(IPV4, ETHERNET)
    for interface, time in ((0, START_NS // 1_000), (1, START_NS)):
        header = struct.pack(f"{order}IIIII", interface, *divmod(time, 2**32), len(frame), len(frame))
        pieces.append(block(6, header + frame, order))
    (tmp_path / "a.pcapng").write_bytes(b"".join(pieces))
    assert read(tmp_path / "a.pcapng") == [(START_NS // 1_000 * 1_000, frame), (START_NS, frame)]


def test_pcapng_from_wireshark_is_the_same(tmp_path: Path) -> None:
    packets = [(START_NS + i, link(IPV6, ETHERNET) + bytes(i)) for i in range(50)]
    path = write_pcap(tmp_path / "a.pcap", packets)
    subprocess.run(["editcap", "-F", "pcapng", path, tmp_path / "a.pcapng"], check=True)
    assert read(tmp_path / "a.pcapng") == packets


@pytest.mark.skipif(not PCAPS.is_dir(), reason="../shared/pcaps is not there")
@pytest.mark.parametrize("path", sorted(PCAPS.glob("*.pcap")), ids=lambda path: path.stem)
def test_public_captures_as_tshark_reads_them(path: Path) -> None:
    command = ["tshark", "-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = [(int(t.split(".")[0]) * 10**9 + int(t.split(".")[1]), int(n)) for t, n in map(str.split, lines)]
    assert [(t_ns, len(frame)) for t_ns, frame in read(path)] == expected


def fails(path: Path) -> str:
    """What is said of a capture that cannot be read."""
    with pytest.raises(UserError) as raised:
        read(path)
    assert raised.value.remedy
    return raised.value.cause


def test_what_is_no_capture_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("these are not packets, but words")
    (tmp_path / "empty").touch()
    assert f"there is no file {tmp_path / 'missing'}" in fails(tmp_path / "missing")
    assert "there is no file" in fails(tmp_path)
    assert f"{tmp_path / 'text'} is not a capture: unknown file format" in fails(tmp_path / "text")
    assert "is not a capture" in fails(tmp_path / "empty")


def test_another_link_type_is_named(tmp_path: Path) -> None:
    assert "link type IEEE802_11" in fails(write_pcap(tmp_path / "a.pcap", [], WIFI))
    assert "link type 9999" in fails(write_pcap(tmp_path / "a.pcap", [], 9_999))


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_a_capture_cut_short_is_named(tmp_path: Path, form: str) -> None:
    packets = [(START_NS + i, link(IPV4, ETHERNET)) for i in range(5)]
    path = write_pcap(tmp_path / "a.pcap", packets)
    if form == "pcapng":
        subprocess.run(["editcap", "-F", "pcapng", path, tmp_path / "b.pcap"], check=True)
        shutil.move(tmp_path / "b.pcap", path)
    for missing in (1, 10, len(packets[0][1]) + 3):
        path.write_bytes(path.read_bytes()[:-missing])
        assert re.search("truncated .*dump file", fails(path))
