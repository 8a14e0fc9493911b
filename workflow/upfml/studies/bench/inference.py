"""What an inference costs: every engine in the kernel, and the same forest in user space, on the same inputs.

A forest is trained on the windows of the training trace with noisy labels, so that its trees are full. Engines take
turns, pinned to one CPU; a number is the median over the turns. Inputs come one after another in one of these orders:

- `constant`: one window again and again, which the processor learns by heart;
- `trace`: windows in the order in which they closed;
- `shuffled`: the same windows in a drawn order;
- `hardest`: each feature drawn from the forest's thresholds on it, so that every node is a toss-up.

In the kernel, times are BPF_PROG_TEST_RUN's own. A program that does everything but the inference (bpf/bench.h) is
subtracted: it takes the next input into the scratchpad and keeps a class for it. In user space, there are these:

- `gcc-O2`, `gcc-O3`: the C from which the kernel's program is made, called in a loop in C, less an empty loop;
- `ctypes`: the same C, called in a loop in Python, less an empty loop;
- `tl2cgen`: the C that treelite and tl2cgen make of the forest, with gcc -O2 in the loop in C. Its features are
  floating-point numbers, which were converted beforehand;
- `sklearn`: forest.predict of one row.

All are times on the CPU: a test run, too, stops its clock while others run.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import pandas as pd
import tl2cgen
import treelite
from numpy.typing import NDArray

from upfml.base import gcc, tables
from upfml.base.errors import UserError
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import fill
from upfml.bpf.testrun import TestRun, one_cpu
from upfml.classify import kernel
from upfml.classify.user import predictor
from upfml.model import convert
from upfml.model.engines import ENGINES
from upfml.model.kinds import TreeModel, round_shares, trees_of, untrained
from upfml.model.points import point_name
from upfml.packets.features import Definition
from upfml.studies.bench import programs

COLUMNS = [
    *("forest", "engine", "order", "ns_gross", "ns_net", "instructions", "verified_instructions", "load_ms"),
    *("swap_ms", "jited_bytes", "agree", "refused_reason"),
]
ORDERS = ["constant", "trace", "shuffled", "hardest"]
USER_SPACE = ["gcc-O2", "gcc-O3", "tl2cgen", "ctypes", "sklearn"]

_NOISE = 0.3  # of the labels are the other class's
_SAMPLES_LEAF = 5
_ROUNDS = 16  # over all inputs, in a turn
_SWAPS = 5
_CALLS = {"ctypes": 2_048, "sklearn": 32}  # from Python, in a turn: at most the number of inputs

Samples = NDArray[np.int64]
"""Inputs in the order in which they are taken, shape (programs.INPUTS, features)."""


class Engine(Protocol):
    """Something that classifies."""

    facts: dict[str, float]
    """Of the columns instructions, verified_instructions, load_ms, swap_ms and jited_bytes those that it has."""

    def time(self, samples: Samples) -> tuple[float, float, NDArray[Any]]:
        """ns an inference, gross and net, and the classes that it found for the first of the samples, or for all."""


def measure(windows: pd.DataFrame, config: Mapping[str, Any], engines: Sequence[str] = ENGINES) -> pd.DataFrame:
    """The table of COLUMNS: a row for each forest, engine and order of `config["bench"]`.

    `windows` is the table of that name; `engines` run in the kernel. Forests are converted and loaded by the sections
    `convert` and `features`; what an engine or the verifier refuses is a row with the reason. instructions,
    verified_instructions and jited_bytes are those of the program that takes the input, with the engine in it, and of
    those that it calls; load_ms is from the converted forest to one that can be run: compiled, verified, maps filled;
    swap_ms is what it takes to put another forest of that size in its place (engine table), median.
    `agree` is the share of the timed results that are scikit-learn's.
    """
    bench, seed = config["bench"], config["seed"]
    windows = windows.sort_values("t_close_ns", kind="stable")
    with one_cpu():
        rows = [
            row
            for depth, trees in product(bench["max_depth"], bench["n_estimators"])
            for row in _of_forest(
                noisy_forest(windows, depth, trees, seed),
                point_name(depth, trees),
                windows[tables.FEATURES].to_numpy(),
                config,
                engines,
            )
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def noisy_forest(windows: pd.DataFrame, max_depth: int, n_estimators: int, seed: int) -> TreeModel:
    """A random forest on all windows, of whose labels a share of _NOISE is flipped, so that its trees are full."""
    flipped = np.random.default_rng(seed).random(len(windows)) < _NOISE
    size = {"max_depth": max_depth, "n_estimators": n_estimators, "min_samples_leaf": _SAMPLES_LEAF}
    forest = untrained("random_forest", **size, seed=seed)
    return round_shares(forest.fit(windows[tables.FEATURES].to_numpy(), windows["label"].to_numpy() ^ flipped))


def inputs(order: str, trace: NDArray[np.int64], forest: TreeModel, seed: int) -> Samples:
    """The inputs in an order of ORDERS. `trace` has the windows' features in order of time, shape (n, features)."""
    random = np.random.default_rng(seed)
    in_order = np.resize(trace, (programs.INPUTS, trace.shape[1]))
    if order == "constant":
        return np.repeat(trace[len(trace) // 2 :][:1], programs.INPUTS, axis=0)
    if order == "trace":
        return in_order
    if order == "shuffled":
        return random.permutation(in_order)
    return np.column_stack(
        [_around_thresholds(forest, feature, column, random) for feature, column in enumerate(in_order.T)]
    )


def _around_thresholds(
    forest: TreeModel, feature: int, otherwise: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Of a feature: the integers on either side of its thresholds, drawn; `otherwise` when no node tests it."""
    thresholds = np.concatenate([tree.threshold[tree.feature == feature] for tree in trees_of(forest)])
    if not len(thresholds):
        return otherwise
    drawn: NDArray[np.int64] = np.floor(random.choice(thresholds, len(otherwise))).astype(np.int64)
    drawn += random.integers(0, 2, len(otherwise))
    return drawn


def _of_forest(
    forest: TreeModel,
    name: str,
    trace: NDArray[np.int64],
    config: Mapping[str, Any],
    engines: Sequence[str],
) -> Iterator[dict[str, Any]]:
    loaded: dict[str, Engine] = {}
    refused: dict[str, str] = {}
    orders = {order: inputs(order, trace, forest, config["seed"]) for order in config["bench"]["orders"]}
    wanted = {order: forest.predict(samples) for order, samples in orders.items()}
    with ExitStack() as stack:
        for engine in [*engines, *USER_SPACE]:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            try:
                loaded[engine] = _load(engine, forest, folder, config)
            except UserError as error:
                refused[engine] = error.cause
        turns = _turns(loaded, orders, wanted, config["bench"]["repeats"])
    for order, engine in product(orders, [*engines, *USER_SPACE]):
        row = {"forest": name, "engine": engine, "order": order, "refused_reason": refused.get(engine, "")}
        if engine in loaded:
            medians = turns.loc[(engine, order), ["ns_gross", "ns_net"]].median()
            row |= {**medians, **loaded[engine].facts, "agree": turns.loc[(engine, order), "agree"].mean()}
        yield row


def _turns(
    engines: Mapping[str, Engine],
    orders: Mapping[str, Samples],
    wanted: Mapping[str, NDArray[Any]],
    repeats: int,
) -> pd.DataFrame:
    """A row a turn: ns_gross, ns_net, agree; the index is engine and order."""
    rows = []
    for _, (order, samples), (name, engine) in product(range(repeats), orders.items(), engines.items()):
        gross_ns, net_ns, classes = engine.time(samples)
        agree = float(np.mean(classes == wanted[order][: len(classes)]))
        rows.append((name, order, gross_ns, net_ns, agree))
    columns = ["engine", "order", "ns_gross", "ns_net", "agree"]
    return pd.DataFrame(rows, columns=columns).set_index(["engine", "order"]).sort_index()


def _load(engine: str, forest: TreeModel, folder: Path, config: Mapping[str, Any]) -> Engine:
    """An engine with the forest. Raises KernelRefused, and UserError when the forest is not for this engine."""
    if engine == "sklearn":
        return _Calls(lambda row: forest.predict(row)[0], lambda samples: samples[:, np.newaxis, :], _CALLS[engine])
    if engine not in USER_SPACE:
        programs.write(forest, engine, folder, config)
        return _InKernel(engine, folder, Definition.of(config["features"]))
    if engine == "tl2cgen":
        tl2cgen.generate_c_code(treelite.sklearn.import_model(forest), dirpath=str(folder), params={})
        return _Loop(folder, forest.n_features_in_, "-O2", "-DTL2CGEN", "-Wno-unused-variable")
    how = config["convert"]
    (folder / "model.h").write_text(convert.c_model(forest, how["thresholds"], how["voting"]))
    if engine == "ctypes":
        predict = predictor(convert.shared_library(folder, forest.n_features_in_))
        return _Calls(predict, lambda samples: samples.tolist(), _CALLS[engine])
    return _Loop(folder, forest.n_features_in_, engine.removeprefix("gcc"))


class _InKernel:
    """A forest in the kernel."""

    def __init__(self, engine: str, folder: Path, definition: Definition) -> None:
        began = time.perf_counter()
        self._module, loaded = programs.load(folder, definition, "window", FlowTable())
        infer = self._module.load("bench_infer")
        load_ms = 1e3 * (time.perf_counter() - began)
        self._infer, self._no_infer = TestRun(infer), TestRun(self._module.load("bench_no_infer"))
        parts = [infer, *loaded[1:]]  # the first of the loaded is the classifier, which is not run
        self.facts = {
            "instructions": sum(program.instructions for program in parts),
            "verified_instructions": sum(program.verified_instructions for program in parts),
            "jited_bytes": sum(program.jited_bytes for program in parts),
            "load_ms": load_ms,
        }
        if engine == "table":
            self.facts["swap_ms"] = float(np.median([self._swap_ms(folder) for _ in range(_SWAPS)]))

    def time(self, samples: Samples) -> tuple[float, float, NDArray[Any]]:
        """See Engine."""
        fill(self._module["bench_inputs"], samples)
        empty_ns = self._run(self._no_infer, len(samples))
        programs.forget(self._module)
        gross_ns = self._run(self._infer, len(samples))
        return gross_ns, gross_ns - empty_ns, programs.answers(self._module, len(samples))

    def _swap_ms(self, folder: Path) -> float:
        began = time.perf_counter()
        kernel.swap(self._module, folder)
        return 1e3 * (time.perf_counter() - began)

    def _run(self, run: TestRun, length: int) -> int:
        programs.begin_round(self._module, length)
        run(bytes(64), times=_ROUNDS * length)
        return run.duration_ns


class _Loop:
    """A forest in C, called in a loop in C (loop.c)."""

    def __init__(self, folder: Path, features: int, *how: str) -> None:
        """`folder` has the forest, `how` are options of gcc."""
        self._floats = "-DTL2CGEN" in how
        source, made = Path(__file__).with_name("loop.c"), folder / "loop.so"
        began = time.perf_counter()
        options = ["-shared", "-fPIC", *how, f"-I{folder}", f"-DFEATURES={features}"]
        gcc.build(source, made, *options)
        self._library = ctypes.CDLL(str(made))
        self.facts = {"load_ms": 1e3 * (time.perf_counter() - began)}
        for name in ("loop_infer", "loop_no_infer"):
            function = getattr(self._library, name)
            function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
            function.restype = ctypes.c_uint64

    def time(self, samples: Samples) -> tuple[float, float, NDArray[Any]]:
        """See Engine."""
        classes = np.full(len(samples), -1, np.int32)
        features, runs = np.ascontiguousarray(samples), _ROUNDS * len(samples)
        if self._floats:  # the numbers that scikit-learn tests, in a union Entry
            features = features.astype(np.float32).astype(np.float64)
        empty_ns, gross_ns = (
            loop(features.ctypes.data, len(features), runs, classes.ctypes.data) / runs
            for loop in (self._library.loop_no_infer, self._library.loop_infer)
        )
        return gross_ns, gross_ns - empty_ns, classes


class _Calls:
    """A forest that Python calls."""

    def __init__(self, predict: Callable[[Any], int], rows: Callable[[Samples], Any], calls: int) -> None:
        """`rows` makes of samples what `predict` takes, beforehand; `calls` is how many are timed."""
        self._predict, self._rows, self._calls = predict, rows, calls
        self.facts: dict[str, float] = {}

    def time(self, samples: Samples) -> tuple[float, float, NDArray[Any]]:
        """See Engine."""
        rows = self._rows(samples[: self._calls])
        began_ns = time.thread_time_ns()
        for _ in rows:
            pass
        empty_ns = time.thread_time_ns() - began_ns
        began_ns = time.thread_time_ns()
        classes = [self._predict(row) for row in rows]
        gross_ns = time.thread_time_ns() - began_ns
        return gross_ns / len(rows), (gross_ns - empty_ns) / len(rows), np.array(classes)
