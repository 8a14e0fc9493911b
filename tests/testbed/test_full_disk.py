"""A disk that is full, for real: a tmpfs of 64 KiB."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from upfml.base import files, tables
from upfml.base.errors import UserError


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_the_cause_and_the_remedy_are_named_and_nothing_is_left(small_disk: Path) -> None:
    values = np.random.default_rng(0).random(100_000)
    frame = pd.DataFrame({"arm": "kernel", "trial": 1, "metric": "m", "value": values, "unit": "ns", "xdp_mode": ""})
    with pytest.raises(UserError, match="No space left on device") as error:
        files.write(frame, small_disk / "metrics.parquet", tables.METRICS)
    assert "free space" in error.value.remedy
    assert list(small_disk.iterdir()) == []
