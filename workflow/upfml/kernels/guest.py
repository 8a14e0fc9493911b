"""What runs in a guest: load every subject of a plan, run those that have a ring on the plan's packets.

`python -m upfml.kernels.guest FOLDER` reads what plan.py has written there, and writes into FOLDER/guest result.json and the
events of each subject.
"""

from __future__ import annotations

import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from upfml import events, tables
from upfml.bpf import KernelRefused, Program
from upfml.classify import kernel
from upfml.kernels.carry import Carried
from upfml.ring import Ring
from upfml.testrun import TestRun, takes_metadata

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
            taken = replayed(folder, module, programs[0], subject["ring"])
            name = f"{Path(subject[form]).stem}.npy"
            np.save(folder / "guest" / name, taken)
            counters = module.counters()
            found[form] |= {"events": name, "lost": counters["event_lost"] + counters["inference_broken"]}
        if "events" in found[form] or not subject.get("ring"):
            break
    return found


def replayed(folder: Path, module: Carried, program: Program, table: str) -> np.ndarray:
    """The events that a program sends for the plan's packets."""
    run, ring = TestRun(program), Ring(module, table, _EVENTS[table])
    taken = []
    for path in sorted((folder / "packets").iterdir()):
        batch = np.load(path)
        run.batch(batch, len(batch))
        taken.append(ring.take())
    return np.concatenate(taken)


def main() -> None:
    """Try every subject."""
    folder = Path(sys.argv[1])
    _say("Python is ready")
    # Until Linux 5.11 maps count as locked memory.
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (folder / "guest").mkdir()
    began = time.monotonic()
    results = {}
    for subject in tables.read_json(folder / "subjects.json"):
        results[subject["name"]] = tried(folder, subject)
        _say(f"{time.monotonic() - began:.1f} s: {subject['name']}: {results[subject['name']]}")
    tables.write_json({"release": platform.release(), "subjects": results}, folder / "guest/result.json")


if __name__ == "__main__":
    main()
