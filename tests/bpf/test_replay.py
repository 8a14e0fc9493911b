"""Replay: captures through the real programs, from the command line as a user gives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.captures import COOKED, ETHERNET, START_NS, WIFI, traffic, tunnelled, write_pcap
from tests.forests import converted, noisy_forest
from tests.waiting import until

from upfml.base import files, tables
from upfml.base.classes import EMBB, URLLC
from upfml.base.errors import UserError
from upfml.base.flowkey import TCP, UDP
from upfml.bpf.flowtable import FlowTable
from upfml.cli import app
from upfml.packets import frames, windows
from upfml.packets.features import Definition
from upfml.replay import captures, feed

DEFINITION = Definition(500_000_000, 1_000)
PCAPS = Path(__file__).parents[3] / "shared/pcaps"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=10, depth=10), tmp_path_factory.mktemp("model"))


def silent(text: str) -> None:
    """Nobody wants to know how far it is."""


def through(capture: Path, model: Path, out: Path, *, plain: bool = False) -> dict[str, Any]:
    return captures.through_model(capture, model, out, plain=plain, tell=silent)


def command(*words: str | Path) -> list[str]:
    return [str(Path(sys.executable).with_name("upfml")), "replay", *map(str, words)]


@pytest.fixture(scope="module")
def made() -> list[tuple[int, bytes]]:
    """Ten flows of 600 packets, inner packets; two of them a little out of order."""
    packets = traffic(1, 5, 600, regular=True) + traffic(6, 5, 600, regular=False)
    packets.sort(key=lambda packet: packet[0])
    for first in range(100, 6_000, 500):
        packets[first], packets[first + 1] = packets[first + 1], packets[first]
    return packets


@pytest.fixture(scope="module")
def replayed(made: list[tuple[int, bytes]], model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a replay from the command line."""
    folder = tmp_path_factory.mktemp("replay")
    capture = write_pcap(folder / "n3.pcap", tunnelled(made))
    done = subprocess.run(command(capture, "--model", model, "-o", folder / "out"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"out: 6,000 packets, 10 flows, [\d,]+ windows \(", done.stderr)
    assert "\r" not in done.stderr
    return folder / "out"


def test_every_packet_is_in_the_table_in_order(replayed: Path, made: list[tuple[int, bytes]]) -> None:
    packets = files.read(replayed / "packets.parquet", tables.PACKETS)
    assert packets["t_ns"].tolist() == [t_ns for t_ns, _ in made]
    assert packets["length_bytes"].tolist() == [len(inner) for _, inner in made]
    assert packets["src_port"].tolist() == [int.from_bytes(inner[20:22]) for _, inner in made]
    assert set(packets["teid"]) == {77}
    assert (packets["iat_ns"] == -1).sum() == 10


def test_windows_are_those_of_the_definition(replayed: Path) -> None:
    packets = files.read(replayed / "packets.parquet", tables.PACKETS)
    closed = files.read(replayed / "windows.parquet", tables.CLOSED_WINDOWS)
    expected = windows.closed(packets, DEFINITION)
    columns = list(tables.CLOSED_WINDOWS.columns)
    left, right = (frame[columns].sort_values(["flow", "window"], ignore_index=True) for frame in (closed, expected))
    pd.testing.assert_frame_equal(left, right, check_dtype=False)
    assert len(left) > 80


def test_decisions_are_those_of_a_replay_of_the_table(replayed: Path, model: Path) -> None:
    """The packets table through the classifier, as the sweep does it, and the capture: the same decisions."""
    packets = files.read(replayed / "packets.parquet", tables.PACKETS)
    decisions = files.read(replayed / "decisions.parquet", tables.DECISIONS)
    again, programs, counters = feed.classify(packets, model, DEFINITION, "window", FlowTable())
    assert counters["event_sent"] == len(again)
    assert [program.name for program in programs][:1] == ["classify"]
    clock = ["t_features_ns", "t_label_ns", "t_delivered_ns"]
    pd.testing.assert_frame_equal(decisions.drop(columns=clock), again.drop(columns=clock))
    assert (decisions["label"] == -1).all()
    assert (decisions["t_label_ns"] >= decisions["t_features_ns"]).all()


def test_the_summary_adds_up(replayed: Path, made: list[tuple[int, bytes]]) -> None:
    summary = files.read_json(replayed / "summary.json")
    decisions = files.read(replayed / "decisions.parquet", tables.DECISIONS)
    assert summary["packets"] == summary["counters"]["collector"]["flow"] == len(made)
    assert summary["counters"]["classifier"]["flow"] == len(made)
    assert summary["bytes"] == sum(len(frame) for _, frame in tunnelled(made))
    assert (summary["first_ns"], summary["last_ns"]) == (min(made)[0], max(made)[0])
    assert summary["duration_s"] == pytest.approx((max(made)[0] - min(made)[0]) / 1e9)
    assert summary["counters"]["collector"]["clock_backwards"] >= 1
    assert (summary["flows"], summary["events_lost"], summary["frames_cut"], summary["frames_too_short"]) == (
        10,
        0,
        0,
        0,
    )
    assert summary["windows"] == len(decisions) == sum(summary["decisions"].values())
    assert summary["decisions"]["eMBB"] == (decisions["predicted"] == EMBB).sum()
    assert summary["kernel"] == os.uname().release
    assert summary["link_type"] == "EN10MB"


@pytest.mark.parametrize("link_type", [ETHERNET, COOKED])
def test_plain_ip_gives_the_same_windows(
    replayed: Path, made: list[tuple[int, bytes]], model: Path, tmp_path: Path, link_type: int
) -> None:
    before = bytes(12) if link_type == ETHERNET else bytes(14)
    capture = write_pcap(tmp_path / "a.pcap", [(t, before + b"\x08\x00" + inner) for t, inner in made], link_type)
    summary = through(capture, model, tmp_path / "out", plain=True)
    assert summary["plain"]
    for name, schema in (("windows", tables.CLOSED_WINDOWS), ("packets", tables.PACKETS)):
        here, there = (files.read(folder / f"{name}.parquet", schema) for folder in (tmp_path / "out", replayed))
        tunnel = [column for column in ("teid", "qfi") if column in here]
        pd.testing.assert_frame_equal(here.drop(columns=tunnel), there.drop(columns=tunnel))


def test_a_table_of_both_families_and_protocols_is_replayed(model: Path) -> None:
    """What frames.batches makes of rows is what the parser makes rows of."""
    random = np.random.default_rng(0)
    rows = []
    for number, (src, dst) in enumerate([("10.60.0.1", "10.70.0.1"), ("2001:db8::1", "2001:db8::2")] * 2):
        for t_ns in np.cumsum(random.integers(1, 20_000_000, 500)):
            rows.append(
                (int(t_ns), src, 1_000 + number, dst, 80, (TCP, UDP)[number // 2], 40 + int(random.integers(900)))
            )
    packets = pd.DataFrame(0, index=range(len(rows)), columns=list(tables.PACKETS.columns))
    packets[["t_ns", "src", "src_port", "dst", "dst_port", "protocol", "length_bytes"]] = rows
    packets = tables.typed(packets.sort_values("t_ns", ignore_index=True), tables.PACKETS)
    packets["iat_ns"] = packets.groupby("src_port")["t_ns"].diff().fillna(-1).astype("int64")
    decisions, _, counters = feed.classify(packets, model, DEFINITION, "window", FlowTable())
    assert counters["flow"] == len(packets)
    columns = ["flow", "window", "packets", *tables.FEATURES]
    left, right = (
        frame[columns].sort_values(["flow", "window"], ignore_index=True)
        for frame in (decisions, windows.closed(packets, DEFINITION))
    )
    pd.testing.assert_frame_equal(left, right, check_dtype=False)
    assert left["flow"].nunique() == 4


@pytest.mark.skipif(not PCAPS.is_dir(), reason="../shared/pcaps is not there")
@pytest.mark.parametrize("path", sorted(PCAPS.glob("*.pcap")), ids=lambda path: path.stem)
def test_public_captures(path: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is replayed, or said to hold no user data, in one line."""
    status, said = main(path, model, tmp_path / "out", capsys)
    if status:
        assert "none carries GTP-U user data" in said
        assert re.search(r"\(\d+ (gtpu_not_gpdu|inner_no_ports)", said)
        assert path.stem in ("gtp10_not_0xff", "gtp-u")  # echo requests, and ICMP inside
        assert not (tmp_path / "out").exists()
    else:
        packets = files.read(tmp_path / "out/packets.parquet", tables.PACKETS)
        summary = files.read_json(tmp_path / "out/summary.json")
        assert 0 < len(packets) == summary["counters"]["collector"]["flow"] <= summary["packets"]


def main(file: Path, model: Path, out: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The command's exit status and what it says on stderr; a failure is one line."""
    with pytest.raises(SystemExit) as ended:
        app(["replay", str(file), "--model", str(model), "-o", str(out), *words])
    status = int(ended.value.code or 0)
    said = capsys.readouterr().err
    if status:
        assert re.fullmatch(r"error: .* \(remedy: .*\)\n", said)
    return status, said


def test_what_cannot_be_replayed_is_said_in_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    n3 = tunnelled(traffic(1, 1, 3, regular=True))
    (tmp_path / "text").write_text("these are not packets, but words")
    cut = write_pcap(tmp_path / "cut.pcap", n3)
    cut.write_bytes(cut.read_bytes()[:-1])
    arp = write_pcap(tmp_path / "arp.pcap", [(1, bytes(12) + b"\x08\x06" + bytes(28)), (2, b"")])
    cases: list[tuple[Path, Path, tuple[str, ...], str]] = [
        (tmp_path / "missing", model, (), "there is no file"),
        (tmp_path / "text", model, (), "is not a capture"),
        (cut, model, (), "cannot be read beyond packet 2: truncated dump file"),
        (write_pcap(tmp_path / "wifi.pcap", [], WIFI), model, (), "link type IEEE802_11"),
        (write_pcap(tmp_path / "none.pcap", []), model, (), "0 packets, none carries GTP-U user data"),
        (arp, model, (), r"2 packets, none carries GTP-U user data .*\(1 not_ip, 1 frames_too_short\)"),
        (arp, model, ("--plain",), r"2 packets, none is TCP or UDP over IP \(1 not_ip, 1 frames_too_short\)"),
        (cut, tmp_path, (), "is not a converted model"),
    ]
    for file, folder, words, expected in cases:
        status, said = main(file, folder, out, capsys, *words)
        assert status == 1
        assert re.search(expected, said), said
        assert not out.exists()


def test_a_model_that_does_not_say_its_definition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files.write_json({"parts": [[0]]}, tmp_path / "model/parts.json")
    status, said = main(tmp_path / "a.pcap", tmp_path / "model", tmp_path / "out", capsys)
    assert status == 1
    assert "lacks 'window_ns'" in said


def test_without_root(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert "BPF needs root" in main(tmp_path / "a.pcap", model, tmp_path / "out", capsys)[1]


def test_ctrl_c_leaves_nothing(model: Path, tmp_path: Path) -> None:
    inner = frames.n3(frames.inner("10.60.0.1", 1, "10.70.0.1", 2, UDP, 60))
    capture = write_pcap(tmp_path / "a.pcap", ((START_NS + i, inner) for i in range(1_000_000)))
    out = tmp_path / "out"
    replay_of_it = subprocess.Popen(command(capture, "--model", model, "-o", out), stderr=subprocess.PIPE, text=True)
    assert until(lambda: list(out.glob(".packets.parquet.*")), 60)
    time.sleep(0.5)
    replay_of_it.send_signal(signal.SIGINT)
    _, said = replay_of_it.communicate(timeout=60)
    assert replay_of_it.returncode == 128 + signal.SIGINT
    assert said.splitlines()[-1] == "interrupted: nothing was written"
    assert "Traceback" not in said
    assert not out.exists()


def config(*captures: dict[str, Any]) -> dict[str, Any]:
    return {
        "flow_table": {"kind": "lru", "flows": 65_536},
        "replay": list(captures),
    }


def test_a_training_trace_of_two_captures(tmp_path: Path) -> None:
    control, video = traffic(1, 3, 100, regular=True), traffic(11, 2, 100, regular=False)
    n3 = write_pcap(tmp_path / "video.pcap", tunnelled(video))
    plain = write_pcap(tmp_path / "control.pcap", [(t, bytes(12) + b"\x08\x00" + inner) for t, inner in control])
    described = {"file": str(n3), "label": "eMBB"}, {"file": str(plain), "label": "URLLC", "plain": True}
    captures.training_trace(config(*described), "code", tmp_path, silent)
    packets = files.read(tmp_path / "packets.parquet", tables.PACKETS)
    flows = files.read(tmp_path / "flows.parquet", tables.FLOWS)
    run = files.read_json(tmp_path / "run.json")
    assert packets["t_ns"].tolist() == [t for t, _ in [*video, *control]]
    assert dict(zip(flows["src_port"], flows["label"], strict=True)) == {
        **dict.fromkeys((11, 12), EMBB), **dict.fromkeys((1, 2, 3), URLLC)
    }  # fmt: skip
    assert set(flows["application"]) == {"replayed"}
    assert flows[["period_ms", "payload_bytes"]].isna().all(axis=None)
    assert [(capture["label"], capture["packets"]) for capture in run["captures"]] == [("eMBB", 200), ("URLLC", 300)]
    assert files.read_json(tmp_path / "loss.json") == {"received": 500, "lost": 0, "rate": 0.0}
    assert files.read_json(tmp_path / "provenance.json")["config_sha256"]


def test_a_flow_in_two_captures_is_named(tmp_path: Path) -> None:
    first = write_pcap(tmp_path / "first.pcap", tunnelled(traffic(1, 2, 10, regular=True)))
    second = write_pcap(tmp_path / "second.pcap", tunnelled(traffic(2, 2, 10, regular=True)))
    twice = [{"file": str(file), "label": "URLLC"} for file in (first, second)]
    expected = rf"10\.60\.0\.1:2>10\.70\.0\.1:5001/17 is in {first} and in {second}"
    with pytest.raises(UserError, match=expected):
        captures.training_trace(config(*twice), "code", tmp_path / "out", silent)
    assert not list((tmp_path / "out").iterdir())
