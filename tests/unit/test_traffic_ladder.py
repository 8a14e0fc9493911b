"""The ladder is complete, reaches its bitrates, and appears whole or not at all."""

import resource

import pytest

from upfml.base import files
from upfml.base.errors import UserError
from upfml.traffic import ladder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traffic") / "ladder"
    ladder.encode(folder, [0.5, 2], segment_s=2, length_s=6)
    return folder


def test_manifest_index_and_all_segments_are_there(folder):
    assert {path.name for path in folder.iterdir()} == {
        "manifest.mpd",
        "ladder.json",
        *(f"rung-{rung}-{part}.m4s" for rung in (0, 1) for part in ("init", "00001", "00002", "00003")),
    }
    assert files.read_json(folder / "ladder.json")["rungs"] == [
        {"rung": 0, "bitrate_mbit_s": 0.5},
        {"rung": 1, "bitrate_mbit_s": 2},
    ]


def test_rungs_are_one_choice_to_the_player(folder):
    # Several adaptation sets would be several videos: nothing to switch between.
    assert (folder / "manifest.mpd").read_text().count("<AdaptationSet") == 1


@pytest.mark.parametrize(("rung", "bitrate"), [(0, 0.5e6), (1, 2e6)])
def test_bitrates_are_reached(folder, rung, bitrate):
    bits = 8 * sum(path.stat().st_size for path in folder.glob(f"rung-{rung}-0*.m4s"))
    assert bits / 6 == pytest.approx(bitrate, rel=0.2)


def test_a_failure_leaves_nothing(tmp_path):
    # The largest file that may be written: enough for the manifest, not for a segment. As a full disk would.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match="ffmpeg"):
            ladder.encode(tmp_path / "ladder", [2], segment_s=2, length_s=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_ffmpeg_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="ffmpeg is not installed"):
        ladder.encode(tmp_path / "ladder", [2], segment_s=2, length_s=4)
    assert list(tmp_path.iterdir()) == []
