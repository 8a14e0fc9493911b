"""The DASH ladder: one synthetic video at several bitrates, cut into segments (ISO/IEC 23009-1)."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from upfml.base import files
from upfml.base.errors import UserError

MANIFEST, INDEX = "manifest.mpd", "ladder.json"

FRAMES_PER_S = 25
SOURCE = f"testsrc2=size=320x180:rate={FRAMES_PER_S},noise=alls=40:allf=t"
"""A small picture, so that it is soon encoded; temporal noise, so that every bitrate is used up."""


def encode(folder: Path, rungs_mbit_s: Sequence[float], segment_s: float, length_s: float) -> None:
    """Encode the ladder into `folder`: manifest.mpd, the segments, and ladder.json {rungs: [{rung, bitrate_mbit_s}]}.

    A segment is named rung-R-NNNNN.m4s, R counted from 0 in the order of `rungs_mbit_s`, N from 1. Every segment
    starts with a key frame, so a player can change rungs at each. The folder appears whole or not at all, and
    replaces one that is there. ffmpeg reports its progress on stderr.

    Raises UserError when ffmpeg is missing or fails, for instance on a full disk.
    """
    folder = folder.absolute()
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    remedy = f"read ffmpeg's own message above; the ladder needs space on {folder.parent}"
    try:
        partial.mkdir(parents=True)
        status = subprocess.run(_ffmpeg(partial, rungs_mbit_s, segment_s, length_s), check=False).returncode
        if status:
            raise UserError(f"ffmpeg could not encode the video ladder (exit status {status})", remedy)
        for rung in range(len(rungs_mbit_s)):
            found, wanted = len(list(partial.glob(f"rung-{rung}-0*.m4s"))), math.ceil(length_s / segment_s)
            if found < wanted:
                raise UserError(f"ffmpeg wrote {found} of {wanted} segments of the ladder's rung {rung}", remedy)
        rungs = [{"rung": rung, "bitrate_mbit_s": bitrate} for rung, bitrate in enumerate(rungs_mbit_s)]
        files.write_json({"rungs": rungs, "segment_s": segment_s, "length_s": length_s}, partial / INDEX)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except FileNotFoundError as error:
        raise UserError("ffmpeg is not installed", "run `make setup`, or apt-get install ffmpeg") from error
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}", f"free space or mend permissions on {folder.parent}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _ffmpeg(folder: Path, rungs_mbit_s: Sequence[float], segment_s: float, length_s: float) -> list[str]:
    """The command line: constant bitrate within a buffer of one second, key frames at segment borders only."""
    frames = str(round(segment_s * FRAMES_PER_S))
    words = ["ffmpeg", "-nostdin", "-loglevel", "warning", "-stats"]
    words += ["-f", "lavfi", "-i", SOURCE, "-t", str(length_s)]
    words += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    words += ["-g", frames, "-keyint_min", frames, "-sc_threshold", "0"]
    for rung, bitrate in enumerate(rungs_mbit_s):
        rate = str(round(bitrate * 1e6))
        words += ["-map", "0:v", f"-b:v:{rung}", rate, f"-maxrate:v:{rung}", rate, f"-bufsize:v:{rung}", rate]
    words += ["-f", "dash", "-adaptation_sets", "id=0,streams=v", "-seg_duration", str(segment_s)]
    words += ["-use_template", "1", "-use_timeline", "0"]
    words += ["-init_seg_name", "rung-$RepresentationID$-init.m4s"]
    words += ["-media_seg_name", "rung-$RepresentationID$-$Number%05d$.m4s"]
    return [*words, str(folder / MANIFEST)]
