"""What is tried in each kernel: every program of bpf/, compiled here, and the packets that the classifiers get.

A subject is one way to compile a program. Those with a flow table have a second form, for kernels without the atomic
exchange that the lock on a flow takes (Linux 5.12) and without metadata in test runs (5.15): no lock, and a packet's
time in front of it. A guest has one CPU, so that the lock decides nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from upfml.base import files
from upfml.bpf.delivery import Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import SCHED_CLS, XDP, Module
from upfml.checks.fuzz.compare import BATCH_FRAMES, records
from upfml.checks.fuzz.corpus import Corpus, built_in
from upfml.checks.kernels import carry
from upfml.classify import kernel
from upfml.classify.collector import collector
from upfml.model import convert
from upfml.model.synthetic import noisy_forest, trace
from upfml.packets import frames
from upfml.packets.features import Definition
from upfml.reference import parser
from upfml.reference.forest import Forest
from upfml.replay.feed import BATCH_PACKETS
from upfml.studies import exactness

DEFINITION = Definition(500_000_000, 1_000)
ENGINES = ("inline", "table", "tailcall")
DELIVERIES = ("ring", "perf")
FLOW_TABLES = ("lru", "hash")

_OLD_FORM = {"REPLAY_IN_FRONT": None, "FLOW_UNLOCKED": None}
_MUTANT_BATCHES = 9
_FOREST = {"trees": 10, "depth": 8}


def _mutants() -> Iterator[list[bytes]]:
    """Batches of frames of every kind that the parser knows, and of such as it should not trust, from a seed."""
    corpus, batch = Corpus(seed=1), built_in()
    for _ in range(_MUTANT_BATCHES):
        yield batch
        for frame in batch:
            corpus.add(frame, parser.parse(frame))
        batch = [corpus.mutant() for _ in range(BATCH_FRAMES)]


class Plan:
    """The subjects, packets and expected decisions, as files that a guest reads; the folder outlives the guests."""

    def __init__(self, folder: Path, *, short: bool = False, old: bool = True) -> None:
        """Compile everything into `folder`. `short`: ring buffers and the LRU table only; `old`: second forms, too."""
        self.folder, self._old = folder, old
        self.packets = trace()
        self._forest = noisy_forest(**_FOREST)
        self.expected = exactness.expected(self.packets, DEFINITION, "window", Forest(self._forest, "soft"))
        deliveries, flow_tables = (("ring",), ("lru",)) if short else (DELIVERIES, FLOW_TABLES)
        for number, batch in enumerate(frames.batches(self.packets, BATCH_PACKETS)):
            np.savez(folder / f"trace-{number:04}.npz", batch=batch, records=len(batch))
        for number, some in enumerate(_mutants()):
            np.savez(folder / f"mutants-{number:04}.npz", batch=records(some), records=len(some))
        subjects = [*self._without_flows(), *self._collectors(deliveries, flow_tables)]
        for engine in ENGINES:
            subjects += self._classifiers(engine, deliveries, flow_tables)
        self.subjects: list[dict[str, Any]] = subjects
        files.write_json(self.subjects, folder / "subjects.json")

    def _without_flows(self) -> Iterator[dict[str, Any]]:
        """The programs that have no flow table: they are loaded, not run."""
        yield self._subject("timer", Module("timer.bpf.c", {"TIMER_READINGS": 64}))
        injector = Module("injector.bpf.c", {"FRAMES": 16, "FRAME_BYTES": 120})
        yield self._subject("injector", injector, {"discard": SCHED_CLS})
        user_plane = Module("upf.bpf.c", {"N3_IFINDEX": 1, "GNB_UE_IFINDEX": 1})
        yield self._subject("upf", user_plane, dict.fromkeys(user_plane.functions(), SCHED_CLS))
        yield self._subject("afxdp", Module("afxdp.bpf.c", {"STAMP_STEPS": None}))

    def _collectors(self, deliveries: tuple[str, ...], flow_tables: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        for by, kind in product(deliveries, flow_tables):
            made = collector(FlowTable(kind), Delivery.of(by), replay=True)
            subject = self._subject(f"collect {by} {kind}", made) | {
                "ring": "packets" if by == "ring" else None,
                "captures": ["trace", "mutants"],
            }
            if self._old:
                again = Module(made.source, {**made.defines, **_OLD_FORM})
                subject["old"] = self._carried(f"{subject['name']} old", again)
            yield subject

    def _classifiers(
        self, engine: str, deliveries: tuple[str, ...], flow_tables: tuple[str, ...]
    ) -> Iterator[dict[str, Any]]:
        model = self.folder / f"model-{engine}"
        convert.write(
            self._forest, 3, engine, model, thresholds="exact", voting="soft", definition=DEFINITION, user_space=False
        )
        for by, kind in product(deliveries, flow_tables):

            def compiled(*also: str, by: str = by, kind: str = kind) -> Module:
                return kernel.compiled(
                    model, DEFINITION, "window", FlowTable(kind), Delivery.of(by), replay=True, also=also
                )

            subject = self._subject(f"classify {engine} {by} {kind}", compiled())
            subject |= {"model": model.name, "ring": "decisions" if by == "ring" else None, "captures": ["trace"]}
            if self._old:
                subject["old"] = self._carried(f"{subject['name']} old", compiled(*_OLD_FORM))
            yield subject

    def _subject(self, name: str, module: Module, kinds: Mapping[str, int] | None = None) -> dict[str, Any]:
        programs = dict.fromkeys(module.functions(), XDP) | dict(kinds or {})
        return {"name": name, "file": self._carried(name, module), "programs": programs}

    def _carried(self, name: str, module: Module) -> str:
        path = self.folder / f"{name.replace(' ', '-')}.json"
        carry.write(module, path)
        return path.name
