"""Packets per second of a replay (upfml/replay) on one core, from the capture file to the last table written."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from upfml.bpf.testrun import RECORD
from upfml.packets import frames
from upfml.replay import captures

_TURNS = 3
_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)  # pcap: nanoseconds, Ethernet
_RECORD = np.dtype([("s", "<u4"), ("ns", "<u4"), ("captured", "<u4"), ("length", "<u4")])


def measure(packets: pd.DataFrame, model: Path) -> pd.DataFrame:
    """A row a turn: packets, packets_per_s and cpu_s of the trace `packets` (a packets table), through `model`."""
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "trace.pcap"
        _write(packets, capture)
        turns = [
            captures.through_model(capture, model, Path(folder) / str(turn), plain=False, tell=lambda _: None)
            for turn in range(_TURNS)
        ]
    return pd.DataFrame(turns)[["packets", "packets_per_s", "cpu_s"]]


def _write(packets: pd.DataFrame, path: Path) -> None:
    """The trace's frames, cut to their headers, as a capture file."""
    with path.open("wb") as file:
        file.write(_HEADER)
        for batch in frames.batches(packets, 1 << 16):
            record = batch[:, : RECORD.itemsize].view(RECORD)[:, 0]
            head = np.empty(len(batch), _RECORD)
            head["s"], head["ns"] = np.divmod(record["t_ns"], 10**9)
            head["captured"] = head["length"] = record["frame_bytes"]
            bytes_of_head = head.view(np.uint8).reshape(len(batch), -1)
            file.write(np.hstack([bytes_of_head, batch[:, RECORD.itemsize :]]).tobytes())
