"""Judges what a kernel did with a plan: it must load each subject or refuse it for a known reason, and decide alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from upfml.base import pages, tables
from upfml.bpf import events
from upfml.checks.kernels.plan import Plan
from upfml.studies import exactness

_NO_EXCHANGE = "BPF_STX uses reserved fields"

OLD = {"5.10": {"collect": _NO_EXCHANGE, "classify": _NO_EXCHANGE}}
"""Kernel → first word of the subjects whose first form it refuses → reason. Their second form must then load.

The reason is in the kernel's words. The lock on a flow uses an atomic exchange (Linux 5.12), which 5.10 does not know.
"""
ABILITIES_MISSING = {"5.10": {"test_run"}}
"""Steps of upfml.bpf.abilities that a kernel cannot pass. Test runs take metadata since Linux 5.15."""
UNTESTED = {
    "5.4": "Debian no longer serves a suite with it, and it has no ring buffers (5.8)",
    "Ubuntu's kernels": "not in Debian's archive, where this check gets its kernels",
}
_DECISION = [*exactness.CASE, *tables.FEATURES, "predicted"]
_PACKET = ["t_ns", "iat_ns", "src", "dst", "src_port", "dst_port", "protocol", "length_bytes"]


def judge(
    name: str, result: Mapping[str, Any], plan: Plan, baseline: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Each subject's outcome, totals and `problems`, from what a guest left in the plan's folder.

    `baseline` is this function's result for the running kernel. Decisions, packet events and counters must be the same.
    """
    subjects, problems = {}, []
    for subject in plan.subjects:
        of_subject = subject["name"]
        judged, wrong = _subject(subject, result["subjects"].get(of_subject, {}), OLD.get(name, {}), plan)
        if baseline is not None:
            for same in ("decisions_sha256", "packets_sha256", "counters"):
                if judged.get(same) != baseline["subjects"][of_subject].get(same):
                    wrong.append(f"{same} differs from the running kernel's")
        subjects[of_subject] = judged
        problems += [f"{of_subject}: {text}" for text in wrong]
    if result["bcc_same_code"] is False:
        problems.append("BCC makes other code of the collector for this kernel")
    excused = ABILITIES_MISSING.get(name, set()) | ({"headers"} if result["bcc_same_code"] is None else set())
    problems += [
        f"ability {step}: {outcome['found']}"
        for step, outcome in result["abilities"].items()
        if outcome["tried"] and not outcome["passed"] and step not in excused
    ]
    if result["tests"] and not result["tests"]["passed"]:
        problems.append(f"tests: {result['tests']['summary']}")
    outcomes = [judged["outcome"] for judged in subjects.values()]
    return {
        "release": result["release"],
        "loaded": outcomes.count("loaded"),
        "without_lock": outcomes.count("without lock"),
        "refused": outcomes.count("refused"),
        "windows_compared": sum(judged.get("windows", 0) for judged in subjects.values()),
        "packets_compared": sum(judged.get("packets", 0) for judged in subjects.values()),
        "differences": sum(judged.get("differences", 0) for judged in subjects.values()),
        "problems": problems,
        "abilities": result["abilities"],
        "tests": result["tests"],
        "subjects": subjects,
    }


def _subject(
    subject: Mapping[str, Any], found: Mapping[str, Any], expected: Mapping[str, str], plan: Plan
) -> tuple[dict[str, Any], list[str]]:
    name = subject["name"]
    first, second = found.get("file"), found.get("old")
    if first is None:
        return {"outcome": "not tried"}, ["not tried"]
    wrong = []
    judged: dict[str, Any] = {"outcome": "loaded"}
    if not first["loaded"]:
        known = expected.get(name.split()[0])
        judged = {"outcome": "refused", "reason": first["reason"]}
        if known is None or known not in first["reason"]:
            wrong.append(f"refused: {first['reason']}")
    if second is not None:
        if second["loaded"]:
            judged["outcome"] = "without lock" if judged["outcome"] == "refused" else "loaded"
        else:
            wrong.append(f"refused without the lock, too: {second['reason']}")
    last = second or first
    if last["loaded"] and subject.get("ring"):
        if "events" not in last:
            return judged, [*wrong, "nothing was replayed"]
        judged |= _compared(subject["ring"], np.load(plan.folder / "guest" / last["events"]), plan)
        judged["counters"] = last["counters"]
        lost = sum(last["counters"].get(counter, 0) for counter in ("event_lost", "inference_broken"))
        if judged["differences"] or lost:
            wrong.append(f"{judged['differences']} differences, {lost} events lost")
    return judged, wrong


def _compared(ring: str, sent: np.ndarray, plan: Plan) -> dict[str, Any]:
    """How many events there are, and how many differ from the reference's."""
    if ring == "decisions":
        decided = events.decisions_table(sent, sent["t_label_ns"])
        counted = exactness.differences(plan.expected, decided)
        differing = max(counted["feature_differences"], counted["decision_differences"])
        return {
            "windows": counted["windows"],
            "differences": differing,
            "decisions_sha256": _sha256(decided[_DECISION].sort_values(exactness.CASE)),
        }
    of_trace = events.packets_table(sent[: len(plan.packets)])
    same_length = len(of_trace) == len(plan.packets)
    differing = (
        int((of_trace[_PACKET] != plan.packets[_PACKET]).any(axis=1).sum()) if same_length else len(plan.packets)
    )
    return {
        "packets": len(sent),
        "differences": differing,
        "packets_sha256": hashlib.sha256(sent.tobytes()).hexdigest(),
    }


def _sha256(rows: pd.DataFrame) -> str:
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


_COLUMNS = [
    *("kernel", "loaded", "without the lock only", "refused"),
    *("windows, packets compared", "differences", "s, emulated"),
]


def table(found: Mapping[str, Any]) -> str:
    """The kernels' totals as a table in Markdown, then each problem."""
    rows = []
    for kernel in found["kernels"].values():
        seconds = kernel.get("seconds_emulated")
        rows.append(
            [
                *(kernel["release"], kernel["loaded"], kernel["without_lock"], kernel["refused"]),
                *(f"{kernel['windows_compared']:,}, {kernel['packets_compared']:,}", kernel["differences"]),
                "(not emulated)" if seconds is None else f"{seconds:.0f}",
            ]
        )
    problems = [f"{name}: {text}" for name, kernel in found["kernels"].items() for text in kernel["problems"]]
    return "\n".join([pages.table(_COLUMNS, rows), *problems])
