"""Recorded packets through the programs of the kernel, each at its own time (BPF_PROG_TEST_RUN): no network needed.

    python -m upfml.replay FILE.pcap[ng] --model MODEL -o OUT [--plain]

The collector and the in-kernel classifier, as they are attached to N3, get every packet in the order of the capture.
The same capture gives the same packets, windows and decisions every time.

Times in the tables: t_ns, t_close_ns and t_packet_ns (with it t_start_ns) are recorded ones, ns since 1970 UTC for a
capture; t_features_ns and t_label_ns are of the replay's own clock (CLOCK_MONOTONIC), so that their difference is the
time of the inference. Nobody waits for a decision here: t_delivered_ns is t_label_ns.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from upfml import capturefile, events, frames, provenance, tables
from upfml.bpf import Module, Program, VerifierRefused
from upfml.capture import collector
from upfml.capturefile import CaptureFile
from upfml.classify import kernel
from upfml.errors import UserError
from upfml.features import Definition
from upfml.flowkey import FIVE_TUPLE, flow_id
from upfml.flowtable import FlowTable
from upfml.testrun import Events, TestRun, one_cpu

BATCH_PACKETS = 2_048
"""At most so many before the perf buffers are emptied; Arm makes them large enough for an event for each."""
_BATCH_BYTES = 1 << 20
_ROW_GROUP = 1 << 17
"""Rows that are kept in memory before they go to Parquet."""
_PROGRESS_S = 1.0

Take = Callable[[np.ndarray], None]
"""Gets events (shape (n,)), many at a time and in order; the array is reused afterwards."""
Tell = Callable[[str], None]
"""Is told once a second how far a replay is."""


class Arm:
    """A program in the kernel, the packets run through it, and what it hands to user space."""

    def __init__(self, module: Module, program: Program, table: str, event: np.dtype, cpu: int, take: Take) -> None:
        """`table` is the program's perf buffer, `event` what it sends there, `take` who gets that."""
        self._module, self._program, self._take = module, program, take
        self._run = TestRun(program)
        self._events = Events(module, table, event, cpu=cpu, burst=BATCH_PACKETS, capacity=_ROW_GROUP + BATCH_PACKETS)

    def __enter__(self) -> Arm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()

    def run(self, batch: np.ndarray, records: int) -> None:
        """Run the program on a batch of at most BATCH_PACKETS records."""
        self._run.batch(batch, records)
        if self._events.gather() >= _ROW_GROUP:
            self._hand_on()

    def end(self) -> dict[str, int]:
        """After the last batch: the program's counters, and flows_evicted.

        Raises UserError when an event was lost or is missing.
        """
        self._hand_on()
        counters = self._module.counters()
        if counters["event_lost"] or counters["inference_broken"] or self._events.received != counters["event_sent"]:
            raise UserError(
                f"{self._program.name} sent {counters['event_sent']} events, of which {self._events.received} arrived; "
                f"{counters['event_lost']} found no room, {counters['inference_broken']} inferences broke off",
                "run it again; nothing was written",
            )
        return counters | {"flows_evicted": self._module.flows_evicted()}

    def _hand_on(self) -> None:
        rows = self._events.take()
        if len(rows):
            self._take(rows)


def collect(packets: pd.DataFrame, definition: Definition, flow_table: FlowTable, take: Take) -> dict[str, int]:
    """A packets table (in order of time) through the collector, its events to `take`; the collector's counters.

    Raises UserError when the replay loses an event.
    """
    module = collector(definition, flow_table, replay=True)
    with one_cpu() as cpu, Arm(module, module.load("collect"), "packets", events.PACKET_EVENT, cpu, take) as arm:
        return _feed(arm, frames.batches(packets, BATCH_PACKETS))


def classify(
    packets: pd.DataFrame, model: Path, definition: Definition, when: str, flow_table: FlowTable
) -> tuple[pd.DataFrame, list[Program], dict[str, int]]:
    """The decisions on a packets table (in order of time), the programs that made them, and their counters.

    Raises VerifierRefused, and UserError when the replay loses a decision.
    """
    module, programs = kernel.load(model, definition, when, flow_table, replay=True)
    decisions, counters = decide(module, programs[0], frames.batches(packets, BATCH_PACKETS))
    return decisions, programs, counters


def decide(module: Module, program: Program, batches: Iterable[np.ndarray]) -> tuple[pd.DataFrame, dict[str, int]]:
    """The decisions of a classifier on batches as frames.batches makes them, and its counters.

    Raises UserError when a decision is lost.
    """
    taken = [np.empty(0, events.DECISION_EVENT)]
    with (
        one_cpu() as cpu,
        Arm(module, program, "decisions", events.DECISION_EVENT, cpu, lambda rows: taken.append(rows.copy())) as arm,
    ):
        counters = _feed(arm, batches)
    decisions = np.concatenate(taken)
    return events.decisions_table(decisions, decisions["t_label_ns"]), counters


def _feed(arm: Arm, batches: Iterable[np.ndarray]) -> dict[str, int]:
    for batch in batches:
        arm.run(batch, len(batch))
    return arm.end()


def run(capture: CaptureFile, arms: Mapping[str, Arm], tell: Tell) -> dict[str, Any]:
    """Every packet of a capture through every arm: what the capture is, and the counters of each arm.

    Raises UserError when the capture is cut short, holds no packet that the programs follow, or events are lost.
    """
    batch = np.empty(_BATCH_BYTES, np.uint8)
    totals = capture.totals
    began = told = time.monotonic()
    cpu_began = time.process_time()
    while records := capture.read(batch, BATCH_PACKETS):
        for arm in arms.values():
            arm.run(batch, records)
        now = time.monotonic()
        if now - told >= _PROGRESS_S:
            told = now
            tell(
                f"{capture.path}: {totals.file_bytes / capture.size_bytes:.0%}, {totals.packets:,} packets, "
                f"{totals.packets / (now - began):,.0f} a second"
            )
    counters = {name: arm.end() for name, arm in arms.items()}
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
        "events_lost": sum(of_arm["event_lost"] for of_arm in counters.values()),
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
    summary.json into `out`. Raises UserError and VerifierRefused; then nothing is written.
    """
    definition = _definition(model)
    classes: Counter[int] = Counter()
    with CaptureFile(file, plain=plain) as capture, _folder(out), contextlib.ExitStack() as stack:
        cpu = stack.enter_context(one_cpu())
        collect = collector(definition, FlowTable(), replay=True)
        classifier, programs = kernel.load(model, definition, "window", FlowTable(), replay=True)
        packets = stack.enter_context(tables.writer(out / "packets.parquet", tables.PACKETS))
        windows = stack.enter_context(tables.writer(out / "windows.parquet", tables.CLOSED_WINDOWS))
        decisions = stack.enter_context(tables.writer(out / "decisions.parquet", tables.DECISIONS))

        def take_packets(rows: np.ndarray) -> None:
            packets(events.packets_table(rows))

        def take_decisions(rows: np.ndarray) -> None:
            decided = events.decisions_table(rows, rows["t_label_ns"])
            decisions(decided)
            windows(decided.rename(columns={"t_packet_ns": "t_close_ns"})[list(tables.CLOSED_WINDOWS.columns)])
            classes.update(decided["predicted"].tolist())

        arms = {
            "collector": Arm(collect, collect.load("collect"), "packets", events.PACKET_EVENT, cpu, take_packets),
            "classifier": Arm(classifier, programs[0], "decisions", events.DECISION_EVENT, cpu, take_decisions),
        }
        for arm in arms.values():
            stack.enter_context(arm)
        summary = {
            **run(capture, arms, tell),
            "windows": classes.total(),
            "decisions": {name: classes[label] for label, name in tables.CLASS_NAMES.items()},
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
    tables.write_json(summary, out / "summary.json")
    return summary


def _definition(model: Path) -> Definition:
    """The windows and the unit of IATs that a converted model was trained with."""
    if not (model / "parts.json").is_file():
        raise UserError(
            f"{model} is no converted model: it has no parts.json",
            "give a folder that the workflow made, e.g. results/convert/depth10-trees10",
        )
    parts = tables.read_json(model / "parts.json")
    try:
        return Definition(parts["window_ns"], parts["iat_unit_ns"])
    except KeyError as error:
        raise UserError(f"{model}/parts.json does not say {error}", f"remove {model} and convert it again") from error


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


def training_trace(config: Mapping[str, Any], out: Path, tell: Tell) -> None:
    """The training trace from the captures of `config["replay"]` instead of from the test bed, into `out`.

    Each goes through the collector with a flow table of its own; every flow in it has the capture's label. Writes
    packets, flows, loss, run (the captures' summaries) and provenance. Raises UserError, also when two captures have a
    flow in common: its true class would be a matter of order.
    """
    began = provenance.now()
    definition, flow_table = Definition.of(config["features"]), FlowTable.of(config["flow_table"])
    seen: dict[bytes, int] = {}  # the key of each flow, and the capture that it is in
    summaries = []
    with one_cpu() as cpu, tables.writer(out / "packets.parquet", tables.PACKETS) as packets:
        for number, described in enumerate(config["replay"]):
            module = collector(definition, flow_table, replay=True)

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

            with (
                CaptureFile(Path(described["file"]), plain=described.get("plain", False)) as capture,
                Arm(module, module.load("collect"), "packets", events.PACKET_EVENT, cpu, take) as arm,
            ):
                summaries.append({**run(capture, {"collector": arm}, tell), "label": described["label"]})
    labels = [config["replay"][number]["label"] for number in seen.values()]
    tables.write(_flows(seen, labels), out / "flows.parquet", tables.FLOWS)
    received = sum(summary["counters"]["collector"]["event_sent"] for summary in summaries)
    tables.write_json({"received": received, "lost": 0, "rate": 0.0}, out / "loss.json")
    tables.write_json({"arm": "replay", "captures": summaries}, out / "run.json")
    record = provenance.of(
        config, arm="replay", traffic_seed=None, xdp_mode=None, start=began, end=provenance.now(),
        libpcap=capturefile.libpcap_version(),
    )  # fmt: skip
    tables.write_json(record, out / "provenance.json")


def _flows(keys: Iterable[bytes], labels: Sequence[str]) -> pd.DataFrame:
    """Rows of the flows table for flow keys and the names of their classes."""
    flows = pd.DataFrame([events.five_tuple(key) for key in keys], columns=FIVE_TUPLE)
    flows["flow"] = [flow_id(*row) for row in flows[FIVE_TUPLE].itertuples(index=False, name=None)]
    classes = {name: label for label, name in tables.CLASS_NAMES.items()}
    flows["label"] = [classes[label] for label in labels]
    flows["application"], flows["period_ms"], flows["payload_bytes"] = "replayed", np.nan, np.nan
    return tables.typed(flows, tables.FLOWS)


def _say(text: str, *, passing: bool = False) -> None:
    """A line on stderr; on a terminal, one in passing is overwritten by the next."""
    terminal = sys.stderr.isatty()
    end = "" if terminal and passing else "\n"
    print(f"\r\033[K{text}" if terminal else text, end=end, file=sys.stderr, flush=True)


_EPILOG = """Written into OUT: packets.parquet (a row a packet), windows.parquet (a row a window that was classified),
decisions.parquet (the same with class and times), summary.json (the capture, and what became of its packets).
"""


def main() -> int:
    """The command line; exit status 1 with one line when something is wrong, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m upfml.replay",
        description="Classify the flows of a capture by the programs that run in the kernel, without any network.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="pcap or pcapng, of Ethernet, Linux cooked or raw IP")
    parser.add_argument(
        "--model", type=Path, required=True, help="a converted model, e.g. results/convert/depth10-trees10"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the tables; made if it is not there")
    parser.add_argument("--plain", action="store_true", help="the capture is IP without GTP-U, as on N6 or at a host")
    arguments = parser.parse_args()
    try:
        if os.geteuid() != 0:
            raise UserError("BPF needs root", "run as root")
        summary = through_model(
            arguments.file, arguments.model, arguments.out, plain=arguments.plain, tell=partial(_say, passing=True)
        )
    except UserError as error:
        return _failed(error.cause, error.remedy)
    except VerifierRefused as error:
        return _failed(str(error), "use a smaller model, or convert it with more programs in convert.division")
    except KeyboardInterrupt:
        _say("interrupted: nothing was written")
        return 128 + signal.SIGINT
    decided = ", ".join(f"{count:,} {name}" for name, count in summary["decisions"].items())
    _say(
        f"{arguments.out}: {summary['packets']:,} packets, {summary['flows']:,} flows, {summary['windows']:,} windows "
        f"({decided}), {summary['packets_per_s']:,} packets a second"
    )
    return 0


def _failed(cause: str, remedy: str) -> int:
    _say(" ".join(f"error: {cause} (remedy: {remedy})".split()))
    return 1


if __name__ == "__main__":
    sys.exit(main())
