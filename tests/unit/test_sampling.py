"""The raw readings of mpstat, pidstat and /proc as rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upfml.base import files
from upfml.run import sampling

# mpstat -P ALL -o JSON 1, sysstat 12.6.1, two seconds of three CPUs, shortened to the keys that matter
MPSTAT = {
    "sysstat": {
        "hosts": [
            {
                "statistics": [
                    {"timestamp": "19:51:30", "cpu-load": [
                        {"cpu": "all", "usr": 8.46, "sys": 7.3, "soft": 6.11, "steal": 0.82, "idle": 77.1},
                        {"cpu": "0", "usr": 10.06, "sys": 8.5, "soft": 8.38, "steal": 0.85, "idle": 72.0},
                        {"cpu": "1", "usr": 2.0, "sys": 4.0, "soft": 8.0, "steal": 1.0, "idle": 85.0},
                        {"cpu": "2", "usr": 4.0, "sys": 6.0, "soft": 0.0, "steal": 0.0, "idle": 90.0},
                    ]},
                    {"timestamp": "19:51:31", "cpu-load": [
                        {"cpu": "all", "usr": 1.0, "sys": 2.0, "soft": 3.0, "steal": 0.0, "idle": 94.0},
                        {"cpu": "0", "usr": 1.0, "sys": 2.0, "soft": 3.0, "steal": 0.0, "idle": 94.0},
                        {"cpu": "1", "usr": 1.0, "sys": 2.0, "soft": 3.0, "steal": 0.0, "idle": 94.0},
                        {"cpu": "2", "usr": 1.0, "sys": 2.0, "soft": 3.0, "steal": 0.0, "idle": 94.0},
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
    idle_cpu = dict.fromkeys(sampling._STAT, 0) | {"idle": user + system + softirq + idle}
    return {
        "t_s": t_s,
        "stat": {
            "cpus": {"cpu-all": jiffies, "cpu-0": jiffies, "cpu-1": jiffies, "cpu-2": idle_cpu},
            "context_switches": switches,
        },
        "switches": {"upf": switches // 2, "classifier": switches // 4},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mpstat.json").write_text(json.dumps(MPSTAT))
    (tmp_path / "pidstat.txt").write_text(PIDSTAT)
    processes = {"classifier": 4242, "control-sender": 17}
    files.write_json({"processes": processes, "upf_cpus": [1, 2]}, tmp_path / "watched.json")
    readings = [reading(10.0, 0, 0, 0, 0, 0), reading(12.0, 20, 10, 10, 160, 8_000)]
    files.write_json(readings, tmp_path / "readings.json")
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
    assert proc["context_switches_per_s"] == 4_000.0
    proc = rows.loc[("procstat", "cpu-0", 0)]
    assert (proc["usr_pct"], proc["sys_pct"], proc["soft_pct"], proc["total_pct"]) == (10.0, 5.0, 5.0, 20.0)


def test_the_upfs_cpus_are_an_entity_of_their_own(folder: Path) -> None:
    rows = sampling.table(folder).set_index(["source", "entity", "second"]).sort_index()
    mpstat = rows.loc[("mpstat", "upf", 0)]
    assert (mpstat["usr_pct"], mpstat["sys_pct"], mpstat["soft_pct"], mpstat["steal_pct"]) == (3.0, 5.0, 4.0, 0.5)
    proc = rows.loc[("procstat", "upf", 0)]  # CPU 1 is busy for 20 %, CPU 2 not at all
    assert (proc["usr_pct"], proc["total_pct"], proc["busy_pct"]) == (5.0, 10.0, pytest.approx(10.0))
    assert rows.loc[("sched_switch", "upf", 0), "context_switches_per_s"] == 2_000.0
    assert rows.loc[("sched_switch", "classifier", 0), "context_switches_per_s"] == 1_000.0
