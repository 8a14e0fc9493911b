"""Context switches as the program at sched_switch counts them, held against the kernel's own account."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

from upfml.bpf.switches import SwitchCounter
from upfml.run import sampling

CPU = max(os.sched_getaffinity(0))
SLEEPER = """
import os, sys, time
os.sched_setaffinity(0, [int(sys.argv[1])])
print("ready", flush=True)
for line in sys.stdin:
    for _ in range(200):
        time.sleep(0.001)
"""


@pytest.fixture
def counter() -> Iterator[SwitchCounter]:
    made = SwitchCounter()
    yield made
    made.close()


def account(process: int) -> int:
    """Context switches of a process by proc(5)."""
    status = Path(f"/proc/{process}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


def waits(process: int) -> bool:
    """Whether it is blocked on its input, with the switch away from it behind it."""
    return "pipe_read" in Path(f"/proc/{process}/wchan").read_text()


def test_every_switch_of_a_process_is_counted(counter: SwitchCounter) -> None:
    command = [sys.executable, "-c", SLEEPER, str(CPU)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        assert until(lambda: waits(process.pid), 5)
        before = counter.of_process(process.pid, [CPU]), account(process.pid), counter.on([CPU])
        process.stdin.write("go\n")
        process.stdin.flush()
        assert until(lambda: account(process.pid) >= before[1] + 200 and waits(process.pid), 10)
        counted, kernels = counter.of_process(process.pid, [CPU]) - before[0], account(process.pid) - before[1]
        assert counted == kernels >= 200
        assert counter.on([CPU]) - before[2] >= 2 * 200  # to it and away from it
        had = next(each for each in counter.tenancies() if each.process == process.pid and each.cpu == CPU)
        assert had.name.startswith("python")
        assert 0 < had.ran_ns < time.monotonic_ns()


def test_nothing_is_counted_after_the_end() -> None:
    counter = SwitchCounter()
    counter.close()
    before = counter.on([CPU])
    time.sleep(0.1)
    assert counter.on([CPU]) == before


def test_the_real_tools_twice_in_one_folder(counter: SwitchCounter, tmp_path: Path) -> None:
    """A run that is made again must not read what the one before has left."""
    for _ in range(2):
        with sampling.Sampler(tmp_path, {"classifier": os.getpid()}, [CPU], counter):
            time.sleep(2.5)
    rows = sampling.table(tmp_path)
    assert set(rows["source"]) == {"mpstat", "pidstat", "procstat", "sched_switch"}
    assert rows["second"].max() <= 2
    assert {"upf", "classifier"} <= set(rows.loc[rows["source"] == "sched_switch", "entity"])
