"""Captures through the programs: through a model, to see its decisions, or through the collector, to train one."""

from __future__ import annotations

import contextlib
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml.base import files, provenance, tables
from upfml.base.classes import CLASS_NAMES
from upfml.base.errors import UserError
from upfml.base.flowkey import FIVE_TUPLE, flow_id
from upfml.bpf import events
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.testrun import one_cpu
from upfml.classify import kernel
from upfml.classify.collector import collector
from upfml.packets import capturefile
from upfml.packets.capturefile import CaptureFile
from upfml.packets.features import Definition
from upfml.replay import feed

_BATCH_BYTES = 1 << 20
_PROGRESS_S = 1.0

Tell = Callable[[str], None]
"""Is told once a second how far a replay is."""


def run(capture: CaptureFile, replayed: Mapping[str, feed.ReplayedProgram], tell: Tell) -> dict[str, Any]:
    """Every packet of a capture through every program: what the capture is, and the counters of each program.

    Raises UserError when the capture is cut short, holds no packet that the programs follow, or events are lost.
    """
    batch = np.empty(_BATCH_BYTES, np.uint8)
    totals = capture.totals
    began = told = time.monotonic()
    cpu_began = time.process_time()
    while records := capture.read(batch, feed.BATCH_PACKETS):
        for program in replayed.values():
            program.run(batch, records)
        now = time.monotonic()
        if now - told >= _PROGRESS_S:
            told = now
            tell(
                f"{capture.path}: {totals.file_bytes / capture.size_bytes:.0%}, {totals.packets:,} packets, "
                f"{totals.packets / (now - began):,.0f} a second"
            )
    counters = {name: program.end() for name, program in replayed.items()}
    took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
    seen = counters["collector"]
    if not seen["flow"]:
        raise UserError(f"{capture.path}: {_nothing_in_it(capture, seen)}", _NOTHING_REMEDY[capture.plain])
    return {
        "file": str(capture.path),
        "plain": capture.plain,
        "link_type": capture.link_type,
        "packets": totals.packets,
        "bytes": totals.bytes,
        "first_ns": totals.first_ns,
        "last_ns": totals.last_ns,
        "duration_s": (totals.last_ns - totals.first_ns) / 1e9,
        "frames_cut": totals.frames_cut,
        "frames_too_short": totals.frames_too_short,
        "flows": seen["flow_new"],  # one that was evicted from the flow table and came back counts again
        "events_lost": sum(counted["event_lost"] for counted in counters.values()),
        "counters": counters,
        "took_s": round(took_s, 3),
        "cpu_s": round(cpu_s, 3),  # of one CPU: less than took_s when others work on it, too
        "packets_per_s": round(totals.packets / took_s),
    }


_NOTHING_REMEDY = {
    False: "give a capture of N3, or --plain (plain: true) for IP without GTP-U",
    True: "give a capture of TCP or UDP, or leave out --plain (plain: true) for GTP-U",
}


def _nothing_in_it(capture: CaptureFile, counters: Mapping[str, int]) -> str:
    what = "is TCP or UDP over IP" if capture.plain else "carries GTP-U user data of TCP or UDP"
    seen = {name: count for name, count in counters.items() if count} | (
        {"frames_too_short": capture.totals.frames_too_short} if capture.totals.frames_too_short else {}
    )
    names = ", ".join(f"{count} {name}" for name, count in seen.items()) or "the capture is empty"
    return f"{capture.totals.packets} packets, none {what} ({names})"


def through_model(file: Path, model: Path, out: Path, *, plain: bool, tell: Tell) -> dict[str, Any]:
    """Replay a capture through the collector and a classifier; the summary, which is in `out`, too.

    `model` is a folder written by convert.write. Writes packets, windows (those that were classified), decisions and
    summary.json into `out`. Raises UserError and KernelRefused; then nothing is written.
    """
    definition = _definition(model)
    classes: Counter[int] = Counter()
    with CaptureFile(file, plain=plain) as capture, _folder(out), contextlib.ExitStack() as stack:
        stack.enter_context(one_cpu())
        collect = collector(FlowTable(), replay=True)
        classifier, programs = kernel.load(model, definition, "window", FlowTable(), replay=True)
        packets = stack.enter_context(files.writer(out / "packets.parquet", tables.PACKETS))
        windows = stack.enter_context(files.writer(out / "windows.parquet", tables.CLOSED_WINDOWS))
        decisions = stack.enter_context(files.writer(out / "decisions.parquet", tables.DECISIONS))

        def take_packets(rows: np.ndarray) -> None:
            packets(events.packets_table(rows))

        def take_decisions(rows: np.ndarray) -> None:
            decided = events.decisions_table(rows, rows["t_label_ns"])
            decisions(decided)
            windows(decided.rename(columns={"t_packet_ns": "t_close_ns"})[list(tables.CLOSED_WINDOWS.columns)])
            classes.update(decided["predicted"].tolist())

        replayed = {
            "collector": feed.ReplayedProgram(
                collect, collect.load("collect"), "packets", events.PACKET_EVENT, take_packets
            ),
            "classifier": feed.ReplayedProgram(
                classifier, programs[0], "decisions", events.DECISION_EVENT, take_decisions
            ),
        }
        summary = {
            **run(capture, replayed, tell),
            "windows": classes.total(),
            "decisions": {name: classes[label] for label, name in CLASS_NAMES.items()},
            "model": str(model),
            "window_ns": definition.window_ns,
            "iat_unit_ns": definition.iat_unit_ns,
            "kernel": platform.release(),
            "versions": {
                "upfml": version("upfml"),
                "python": platform.python_version(),
                "libpcap": capturefile.libpcap_version(),
            },
        }
    files.write_json(summary, out / "summary.json")
    return summary


def _definition(model: Path) -> Definition:
    """The windows and the unit of IATs that a converted model was trained with."""
    if not (model / "parts.json").is_file():
        raise UserError(
            f"{model} is not a converted model: it has no parts.json",
            "give a folder that the workflow made, e.g. results/convert/depth10-trees10",
        )
    parts = files.read_json(model / "parts.json")
    try:
        return Definition(parts["window_ns"], parts["iat_unit_ns"])
    except KeyError as error:
        raise UserError(f"{model}/parts.json lacks {error}", f"remove {model} and convert it again") from error


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    """A folder to write into; when the block fails, and it was not there before, it is gone again."""
    new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}", "give another OUT") from error
    try:
        yield
    except BaseException:
        if new:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def training_trace(config: Mapping[str, Any], code: str, out: Path, tell: Tell) -> None:
    """The training trace from the captures of `config["replay"]` instead of from the test bed, into `out`.

    Each goes through the collector with a flow table of its own; every flow in it has the capture's label. Writes
    packets, flows, loss, run (the captures' summaries) and provenance. Raises UserError, also when two captures have a
    flow in common: its true class would be a matter of order.
    """
    began = provenance.now()
    flow_table = FlowTable.of(config["flow_table"])
    seen: dict[bytes, int] = {}  # the key of each flow, and the capture that it is in
    summaries = []
    with one_cpu(), files.writer(out / "packets.parquet", tables.PACKETS) as packets:
        for number, described in enumerate(config["replay"]):
            module = collector(flow_table, replay=True)

            def take(rows: np.ndarray, number: int = number) -> None:
                for key in rows["key"][rows["iat_ns"] < 0]:
                    other = seen.setdefault(key.tobytes(), number)
                    if other != number:
                        first, second = (config["replay"][place]["file"] for place in (other, number))
                        raise UserError(
                            f"the flow {events.flow_name(key.tobytes())} is in {first} and in {second}",
                            "keep it in one of them: a flow has one true class, and one course",
                        )
                packets(events.packets_table(rows))

            program = feed.ReplayedProgram(module, module.load("collect"), "packets", events.PACKET_EVENT, take)
            with CaptureFile(Path(described["file"]), plain=described.get("plain", False)) as capture:
                summaries.append({**run(capture, {"collector": program}, tell), "label": described["label"]})
    labels = [config["replay"][number]["label"] for number in seen.values()]
    files.write(_flows(seen, labels), out / "flows.parquet", tables.FLOWS)
    received = sum(summary["counters"]["collector"]["event_sent"] for summary in summaries)
    files.write_json({"received": received, "lost": 0, "rate": 0.0}, out / "loss.json")
    files.write_json({"arm": "replay", "captures": summaries}, out / "run.json")
    record = provenance.of(
        config, code, arm="replay", traffic_seed=None, xdp_modes=[], start=began, end=provenance.now(),
        libpcap=capturefile.libpcap_version(),
    )  # fmt: skip
    files.write_json(record, out / "provenance.json")


def _flows(keys: Iterable[bytes], labels: Sequence[str]) -> pd.DataFrame:
    """Rows of the flows table for flow keys and the names of their classes."""
    flows = pd.DataFrame([events.five_tuple(key) for key in keys], columns=FIVE_TUPLE)
    flows["flow"] = [flow_id(*row) for row in flows[FIVE_TUPLE].itertuples(index=False, name=None)]
    classes = {name: label for label, name in CLASS_NAMES.items()}
    flows["label"] = [classes[label] for label in labels]
    flows["application"], flows["period_ms"], flows["payload_bytes"] = "replayed", np.nan, np.nan
    return tables.typed(flows, tables.FLOWS)
