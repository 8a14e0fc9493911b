"""The raw readings of mpstat, pidstat and /proc as rows."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from upfml.base import files
from upfml.run import sampling

# mpstat -P ALL -o JSON 1, sysstat 12.6.1, two seconds of one CPU, shortened to the keys that matter
MPSTAT = {
    "sysstat": {
        "hosts": [
            {
                "statistics": [
                    {"timestamp": "19:51:30", "cpu-load": [
                        {"cpu": "all", "usr": 8.46, "sys": 7.3, "soft": 6.11, "steal": 0.82, "idle": 77.1},
                        {"cpu": "0", "usr": 10.06, "sys": 8.5, "soft": 8.38, "steal": 0.85, "idle": 72.0},
                    ]},
                    {"timestamp": "19:51:31", "cpu-load": [
                        {"cpu": "all", "usr": 1.0, "sys": 2.0, "soft": 3.0, "steal": 0.0, "idle": 94.0},
                        {"cpu": "0", "usr": 1.0, "sys": 2.0, "soft": 3.0, "steal": 0.0, "idle": 94.0},
                    ]},
                ]
            }
        ]
    }
}  # fmt: skip
# pidstat -u -w -h -H -p 4242,17 1
PIDSTAT = """\
Linux 6.18.44 (vm) \t11/22/26 \t_x86_64_\t(2 CPU)

# Time        UID       PID    %usr %system  %guest   %wait    %CPU   CPU   cswch/s nvcswch/s  Command
1795376391     0      4242    9.00    4.29    0.00    0.10   13.29     1   3650.00      5.71  python
1795376391     0        17    0.29   15.86    0.00    0.00   16.14     0   3199.00      0.86  control

# Time        UID       PID    %usr %system  %guest   %wait    %CPU   CPU   cswch/s nvcswch/s  Command
1795376392     0      4242    8.00    4.00    0.00    0.10   12.00     1   3600.00      0.00  python
"""


def reading(t_s: float, user: int, system: int, softirq: int, idle: int, switches: int) -> dict[str, object]:
    jiffies = dict.fromkeys(sampling._STAT, 0) | {"user": user, "system": system, "softirq": softirq, "idle": idle}
    return {
        "t_s": t_s,
        "stat": {"cpus": {"cpu-all": jiffies, "cpu-0": jiffies}, "context_switches": switches},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mpstat.json").write_text(json.dumps(MPSTAT))
    (tmp_path / "pidstat.txt").write_text(PIDSTAT)
    files.write_json({"classifier": 4242, "control-sender": 17}, tmp_path / "processes.json")
    readings = [reading(10.0, 0, 0, 0, 0, 0), reading(12.0, 20, 10, 10, 160, 8_000)]
    files.write_json(readings, tmp_path / "procstat.json")
    return tmp_path


def test_every_source_gives_rows(folder: Path) -> None:
    rows = sampling.table(folder).set_index(["source", "entity", "second"]).sort_index()
    mpstat = rows.loc[("mpstat", "cpu-all", 0)]
    assert mpstat["total_pct"] == pytest.approx(8.46 + 7.3 + 6.11)
    assert mpstat["steal_pct"] == 0.82
    assert rows.loc[("mpstat", "cpu-0", 1), "soft_pct"] == 3.0
    pidstat = rows.loc[("pidstat", "classifier", 0)]
    assert (pidstat["usr_pct"], pidstat["sys_pct"]) == (9.0, 4.29)
    assert pidstat["context_switches_per_s"] == pytest.approx(3655.71)
    assert rows.loc[("pidstat", "classifier", 1), "usr_pct"] == 8.0
    assert ("pidstat", "control-sender", 1) not in rows.index
    proc = rows.loc[("procstat", "cpu-all", 0)]
    assert (proc["usr_pct"], proc["sys_pct"], proc["soft_pct"], proc["total_pct"]) == (10.0, 5.0, 5.0, 20.0)
    assert proc["context_switches_per_s"] == 4_000.0


def test_the_real_tools_twice_in_one_folder(tmp_path: Path) -> None:
    """A run that is made again must not read what the one before has left."""
    for _ in range(2):
        with sampling.Sampler(tmp_path, {"classifier": os.getpid()}):
            time.sleep(2.5)
    rows = sampling.table(tmp_path)
    assert set(rows["source"]) == {"mpstat", "pidstat", "procstat"}
    assert rows["second"].max() <= 2
    assert rows.loc[rows["source"] != "mpstat", "entity"].isin(["classifier"]).any()
