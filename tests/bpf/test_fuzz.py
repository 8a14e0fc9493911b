"""The fuzzer: a short run finds no difference between the in-kernel parser and the reference, and would find one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.captures import write_pcap

from upfml.bpf.module import counter_names
from upfml.checks.fuzz import run
from upfml.checks.fuzz.corpus import FRAME_BYTES_MAX, FRAME_BYTES_MIN, Corpus, built_in
from upfml.cli import app
from upfml.reference import parser
from upfml.reference.parser import Parsed


def fuzz(*words: str) -> int:
    """The command's exit status."""
    with pytest.raises(SystemExit) as ended:
        app(["fuzz", *words])
    return int(ended.value.code or 0)


def test_kernel_and_reference_agree_on_twenty_thousand_packets(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz("--packets", "20000", "--seed", "7") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "0 differences between kernel and reference"
    assert said[-2].startswith("20,000 packets, ")
    outcomes = {line.split()[1] for line in said[:-2]}
    names = counter_names()
    assert outcomes == set(names[: names.index("outer_first_fragment")])  # every one that there is


def another_qfi(parsed: Parsed) -> Parsed:
    if parsed.packet is None or parsed.packet.qfi != 63:
        return parsed
    return parsed._replace(packet=parsed.packet._replace(qfi=0))


def another_reason(parsed: Parsed) -> Parsed:
    return parsed._replace(outcome="truncated") if parsed.outcome == "gtpu_end_marker" else parsed


def no_first_fragments(parsed: Parsed) -> Parsed:
    return parsed._replace(also=frozenset())


@pytest.mark.parametrize("wrong", [another_qfi, another_reason, no_first_fragments])
def test_finds_a_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: Callable[[Parsed], Parsed]
) -> None:
    right = parser.parse
    monkeypatch.setattr(parser, "parse", lambda frame: wrong(right(frame)))
    assert fuzz("--packets", "8000", "--seed", "7") == 1
    said = capsys.readouterr().out.splitlines()
    frame = bytes.fromhex(said[0])
    assert wrong(right(frame)) != right(frame)
    assert said[1].startswith("  kernel: ")
    assert said[2].startswith("  reference: ")
    assert not said[-1].startswith("0 ")


def test_every_frame_is_one_that_a_test_run_takes() -> None:
    corpus = Corpus(seed=3)
    for frame in built_in():
        corpus.add(frame, parser.parse(frame))
    lengths = [len(corpus.mutant()) for _ in range(5_000)]
    assert min(lengths) >= FRAME_BYTES_MIN
    assert max(lengths) <= FRAME_BYTES_MAX


def test_the_same_seed_makes_the_same_frames() -> None:
    made = []
    for _ in range(2):
        corpus = Corpus(seed=11)
        for frame in built_in():
            corpus.add(frame, parser.parse(frame))
        made.append([corpus.mutant() for _ in range(500)])
    assert made[0] == made[1]


def test_starts_from_captures_too(tmp_path: Path) -> None:
    frames = [bytes([number]) * 12 + b"\x08\x06" + bytes(28) for number in range(3)]
    write_pcap(tmp_path / "a.pcap", [(0, frames[0]), (1, frames[1] + bytes(2_000))])
    other = write_pcap(tmp_path / "b.cap", [(0, frames[2])])
    assert list(run.captured([tmp_path])) == [frames[0], (frames[1] + bytes(2_000))[:FRAME_BYTES_MAX]]
    assert list(run.captured([other])) == [frames[2]]


def test_says_what_is_wrong_with_the_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for corpus, cause in ((tmp_path / "none.pcap", "there is no file"), (tmp_path, "holds no capture")):
        assert fuzz("--packets", "1", "--corpus", str(corpus)) == 1
        assert cause in capsys.readouterr().err


def test_says_that_it_needs_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert fuzz("--packets", "1") == 1
    assert "as root" in capsys.readouterr().err
