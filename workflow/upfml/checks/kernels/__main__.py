"""Every program in other kernels, from the command line.

python -m upfml.checks.kernels [KERNEL ...] [-o results/kernels.json]
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from upfml.base import files
from upfml.base.errors import UserError
from upfml.checks.kernels import images, judge, machine
from upfml.checks.kernels.plan import Plan

RUNNING = "running"
"""The kernel of this machine, without emulation: what others are compared with."""
_TESTS = ["tests/bpf/test_parser.py"]
"""Tests of the project that run in guests, too: one program, compiled once, and hundreds of packets."""
_GUEST = "upfml.checks.kernels.guest"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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


def matrix(names: Sequence[str], *, short: bool, patience_s: float = machine.PATIENCE_S) -> dict[str, Any]:
    """Boot each kernel and judge it. Raises UserError when a kernel cannot be had, or a guest does not report."""
    if os.geteuid() != 0:
        raise UserError("BPF needs root", "run as root")
    with own_folder() as folder:
        kernels = [images.get(name, _say) for name in names]
        _say("compiling the programs")
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
            seconds = machine.run(image, _GUEST, folder, _say, patience_s)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit status 1 when a kernel fails or something is wrong, 130 after Ctrl-C."""
    options = argparse.ArgumentParser(
        prog="python -m upfml.checks.kernels",
        description="Boot Debian's kernels in QEMU, load every program there, compare decisions on a replayed trace.",
    )
    options.add_argument(
        "kernels", nargs="*", metavar="KERNEL", help=f"of {', '.join(images.SUITES)}; default: all, one after the other"
    )
    options.add_argument("-o", "--out", type=Path, default=Path("results/kernels.json"), help="default: %(default)s")
    options.add_argument(
        "--short", action="store_true", help="only ring buffers and the LRU flow table, as in `make test`"
    )
    chosen = options.parse_args(arguments)
    unknown = set(chosen.kernels) - set(images.SUITES)
    if unknown:
        options.error(f"no such kernel: {', '.join(sorted(unknown))}")
    try:
        found = matrix(chosen.kernels or list(images.SUITES), short=chosen.short)
    except UserError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(found, chosen.out)
    print(judge.table(found))
    return 1 if any(kernel["problems"] for kernel in found["kernels"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
