"""Events and the forest's table: the compiler refuses C whose members are elsewhere than in Python's mirror."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.forests import converted, noisy_forest

from upfml.base.errors import UserError
from upfml.bpf import module
from upfml.bpf.flowtable import FlowTable
from upfml.classify import kernel
from upfml.classify.collector import collector
from upfml.packets.features import Definition

DEFINITION = Definition(500_000_000, 1_000)


def swap(monkeypatch: pytest.MonkeyPatch, folder: Path, file: str, before: str, after: str) -> None:
    """Have programs compiled of a copy of bpf/ in which `file` says something else."""
    changed = shutil.copytree(module.SOURCES, folder / "bpf") / file
    text = changed.read_text()
    assert before in text
    changed.write_text(text.replace(before, after))
    monkeypatch.setattr(module, "SOURCES", folder / "bpf")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("u64 t_ns;\n", "", "packet_event: t_sent_ns is elsewhere"),
        ("u32 tcp_seq;\n\tu32 tcp_ack;", "u32 tcp_ack;\n\tu32 tcp_seq;", "packet_event: tcp_seq is elsewhere"),
        ("u32 packets; /* in the window */\n\ts32 predicted;", "s32 predicted;\n\tu32 packets;", "event: packets is"),
    ],
)  # fmt: skip
def test_an_event_with_a_moved_member_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    before: str, after: str, said: str,
) -> None:  # fmt: skip
    swap(monkeypatch, tmp_path, "include/events.h", before, after)
    with pytest.raises(UserError, match=r"collect\.bpf\.c does not compile"):
        collector(FlowTable())
    assert said in capfd.readouterr().err


def test_a_feature_in_another_place_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Sizes are the same: only the places tell."""
    first = "s64 iat_mean; /* IAT units */\n", "s64 iat_var; /* IAT units squared */\n"
    swap(monkeypatch, tmp_path, "include/window.h", "\t".join(first), "\t".join(reversed(first)))
    with pytest.raises(UserError, match=r"collect\.bpf\.c does not compile"):
        collector(FlowTable())
    assert "struct decision_event: features.iat_mean is elsewhere" in capfd.readouterr().err


def test_a_forests_table_of_another_layout_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = converted(noisy_forest(trees=2, depth=3), tmp_path / "model", engine="table")
    swap(monkeypatch, tmp_path, "engines/table.h", "u32 levels;", "u32 unheard_of; u32 levels;")
    with pytest.raises(UserError, match=r"classify\.bpf\.c does not compile"):
        kernel.load(model, DEFINITION, "window", FlowTable())
    assert "struct forest_header: levels is elsewhere" in capfd.readouterr().err
