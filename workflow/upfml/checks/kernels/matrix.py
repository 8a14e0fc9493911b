"""Every program in the running kernel and in others, one kernel after the other."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from upfml.base import files, root
from upfml.base.errors import UserError
from upfml.checks.kernels import images, judge, machine
from upfml.checks.kernels.plan import Plan

RUNNING = "running"
"""The kernel of this machine, without emulation: what others are compared with."""
_TESTS = ["tests/bpf/test_parser.py"]
"""Tests of the project that run in guests, too: one program, compiled once, and hundreds of packets."""
_GUEST = "upfml.checks.kernels.guest"


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for a run, of which there is one at a time; what a killed one left is removed."""
    images.IMAGES.mkdir(parents=True, exist_ok=True)
    with (images.IMAGES / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError("another run is already trying kernels", "wait until it has ended") from error
        folder = images.IMAGES / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def matrix(
    names: Sequence[str], *, short: bool, tell: images.Tell, patience_s: float = machine.PATIENCE_S
) -> dict[str, Any]:
    """Boot each kernel and judge it; `tell` is told how far it is.

    Raises UserError without root, when a kernel cannot be had, and when a guest does not report.
    """
    root.require()
    with own_folder() as folder:
        kernels = [images.get(name, tell) for name in names]
        tell("compiling the programs")
        plan = Plan(folder, short=short, old=any(name in judge.OLD for name in names))
        files.write_json([], folder / "tests.json")  # of the running kernel `make test` runs all
        began = time.monotonic()
        here = subprocess.run([sys.executable, "-m", _GUEST, folder], stdin=subprocess.DEVNULL, timeout=patience_s)
        if here.returncode:
            raise UserError("the checks on the running kernel failed", "see the messages above")
        baseline = judge.judge(RUNNING, files.read_json(folder / "guest/result.json"), plan)
        judged = {RUNNING: baseline | {"seconds": round(time.monotonic() - began, 1)}}
        shutil.rmtree(folder / "guest")
        for image in kernels:
            files.write_json([] if short or image.name in judge.OLD else _TESTS, folder / "tests.json")
            seconds = machine.run(image, _GUEST, folder, tell, patience_s)
            result = folder / "guest/result.json"
            if not result.is_file():
                raise UserError(
                    f"{image.name}: the guest ended without a report; its last output: {machine.last_words(image)}",
                    f"see {image.log}",
                )
            judged[image.name] = judge.judge(image.name, files.read_json(result), plan, baseline) | {
                "package": image.package,
                "seconds_emulated": round(seconds, 1),
            }
            shutil.rmtree(folder / "guest")
    return {"kernels": judged, "untested": judge.UNTESTED}
