"""What runs in a guest: load every subject of a plan, run those that have a ring on the plan's packets.

`python -m upfml.checks.kernels.guest FOLDER` reads what plan.py has written there, and writes into FOLDER/guest:
result.json, and the events of each subject.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from upfml.base import files
from upfml.base.errors import UserError
from upfml.bpf import abilities, events, headers
from upfml.bpf.compiler import compile_anew
from upfml.bpf.module import KernelRefused, Program, text_and_flags
from upfml.bpf.ring import Ring
from upfml.bpf.syscall import unlock_memory
from upfml.bpf.testrun import TestRun, takes_metadata
from upfml.checks.kernels.carry import Carried
from upfml.classify import kernel

_PROJECT = Path(__file__).parents[4]
_EVENTS = {"packets": events.PACKET_EVENT, "decisions": events.DECISION_EVENT}


def _say(text: str) -> None:
    print(f"upfml: {text}", flush=True)


def load(folder: Path, file: str, subject: dict[str, Any]) -> tuple[Carried, list[Program]]:
    """Load one form of a subject, its first program first. Raises KernelRefused; OSError when a map is refused."""
    module = Carried(folder / file)
    if "model" in subject:
        return module, kernel.enter(module, folder / subject["model"])
    return module, [module.load(name, kind) for name, kind in subject["programs"].items()]


def tried(folder: Path, subject: dict[str, Any]) -> dict[str, Any]:
    """What this kernel does with a subject: `loaded` or `refused` and why; of which form; what it sent."""
    forms = [form for form in ("file", "old") if form in subject]
    found: dict[str, Any] = {}
    for form in forms:
        try:
            module, programs = load(folder, subject[form], subject)
        except (KernelRefused, OSError) as error:
            found[form] = {"loaded": False, "reason": error.reason if isinstance(error, KernelRefused) else str(error)}
            continue
        found[form] = {"loaded": True, "instructions": sum(program.instructions for program in programs)}
        if subject.get("ring") and (programs[0].time_in_front or takes_metadata()):
            taken = replayed(folder, module, programs[0], subject)
            name = f"{Path(subject[form]).stem}.npy"
            np.save(folder / "guest" / name, taken)
            counters = module.counters()
            found[form] |= {"events": name, "counters": {key: count for key, count in counters.items() if count}}
        if "events" in found[form] or not subject.get("ring"):
            break
    return found


def replayed(folder: Path, module: Carried, program: Program, subject: dict[str, Any]) -> np.ndarray:
    """The events that a program sends for the plan's captures, one after the other."""
    run, ring = TestRun(program), Ring(module, subject["ring"], _EVENTS[subject["ring"]])
    taken = []
    for capture in subject["captures"]:
        for path in sorted(folder.glob(f"{capture}-*.npz")):
            with np.load(path) as packets:
                run.batch(packets["batch"], int(packets["records"]))
            taken.append(ring.take())
    return np.concatenate(taken)


def compiles_alike(folder: Path) -> bool | None:
    """Whether BCC makes the same code of the collector in this kernel as it has made in the host's.

    None where it cannot be tried: a host that compiles against its own kernel's headers has none for a guest's.
    """
    try:
        headers.find()
    except UserError:
        return None
    subject = next(subject for subject in files.read_json(folder / "subjects.json") if subject.get("ring") == "packets")
    carried = Carried(folder / subject["file"])
    here = compile_anew(*text_and_flags(carried.source, carried.defines))
    return here.programs["collect"] == carried.compiled.programs["collect"]


def tested(tests: Sequence[str]) -> dict[str, Any] | None:
    """What pytest says of some of the project's tests in this kernel: `passed`, and its last line as `summary`."""
    if not tests:
        return None
    _say(f"running {' '.join(tests)}")
    pytest = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(pytest, cwd=_PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(done.stdout + done.stderr, flush=True)
    return {"passed": done.returncode == 0, "summary": (done.stdout.strip().splitlines() or ["nothing"])[-1]}


def _outcome(found: dict[str, Any]) -> str:
    words = [("loaded" if form["loaded"] else f"refused ({form['reason'].split(';')[0]})") for form in found.values()]
    return "; without the lock ".join(words)


def main() -> None:
    """Try every subject."""
    folder = Path(sys.argv[1])
    _say("Python is ready")
    unlock_memory()
    (folder / "guest").mkdir()
    results = {}
    for subject in files.read_json(folder / "subjects.json"):
        results[subject["name"]] = tried(folder, subject)
        _say(f"{subject['name']}: {_outcome(results[subject['name']])}")
    _say("trying what `snakemake provision` tries")
    found = abilities.results()
    _say("compiling the collector")
    same = compiles_alike(folder)
    tests = tested(files.read_json(folder / "tests.json"))
    result = {
        "release": platform.release(),
        "subjects": results,
        "abilities": found,
        "bcc_same_code": same,
        "tests": tests,
    }
    files.write_json(result, folder / "guest/result.json")


if __name__ == "__main__":
    main()
