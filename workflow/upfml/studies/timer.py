"""The cost of reading the clock in an XDP program, in C and in Python.

Every time between two stamps includes one reading, so no part is shorter than that.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from statistics import median

from upfml.base import gcc
from upfml.bpf.module import Module
from upfml.bpf.testrun import TestRun, one_cpu

_SOURCE = Path(__file__).with_name("timer.c")
_READINGS = 64  # of an XDP program
_TIMES = 100_000
_TURNS = 15


def measure() -> dict[str, float]:
    """ns a reading: `kernel_ns` (bpf_ktime_get_ns), `native_ns` (clock_gettime), `python_ns` (time.monotonic_ns).

    Medians over turns, pinned to one CPU. Raises UserError when a program does not compile or load.
    """
    with one_cpu():
        readings = gcc.library(_SOURCE).timer_readings
        readings.argtypes, readings.restype = [ctypes.c_uint64], ctypes.c_uint64
        module = Module("timer.bpf.c", {"TIMER_READINGS": _READINGS})
        read, not_read = (TestRun(module.load(name)) for name in ("timer_read", "timer_not"))
        turns = [(_run_ns(read) - _run_ns(not_read), readings(_TIMES), _python_ns()) for _ in range(_TURNS)]
    kernel, c, python = (median(column) for column in zip(*turns, strict=True))
    return {"kernel_ns": kernel / _READINGS, "native_ns": c / _TIMES, "python_ns": python / _TIMES}


def _run_ns(run: TestRun) -> int:
    run(bytes(64), times=_TIMES)
    return run.duration_ns


def _python_ns() -> int:
    now, begin_ns = time.monotonic_ns, time.monotonic_ns()
    for _ in range(_TIMES - 1):
        now()
    return now() - begin_ns
