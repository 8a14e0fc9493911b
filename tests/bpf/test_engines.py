"""What is each engine's own: dividing over tail calls, forests as data, and swapping them while packets flow."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.bpf.test_classify import new_flow
from tests.bpf.test_forest_exact import KernelForest
from tests.forests import FORESTS, around_thresholds, at_ends, converted, forest_between, noisy_forest

from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.bpf.events import DECISION_EVENT
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.ring import Ring
from upfml.bpf.testrun import TestRun
from upfml.classify import kernel
from upfml.model import convert
from upfml.model.engines import ENGINES, tailcall
from upfml.model.engines import table as table_engine
from upfml.model.kinds import trees_of
from upfml.model.voting import Voting
from upfml.packets.features import Definition
from upfml.reference.forest import Forest
from upfml.studies.bench import programs

DEFINITION = Definition(500_000_000, 1_000)
OF_WINDOWS = [
    name for name, forest in FORESTS.items() if (forest.n_features_in_, forest.n_classes_) == (len(tables.FEATURES), 2)
]


def as_table(forest: object, folder: Path, voting: Voting = "soft") -> Path:
    """A folder for the engine `table` alone: what emlearn would write for a large forest is not needed."""
    folder.mkdir(exist_ok=True)
    convert.write(
        forest, "auto", "table", folder,
        thresholds="exact", voting=voting, definition=DEFINITION, user_space=False,
    )  # fmt: skip
    return folder


# tailcall


@pytest.mark.parametrize("voting", ["soft", "majority"])
def test_auto_makes_parts_that_load(voting: Voting, tmp_path: Path) -> None:
    forest = noisy_forest(trees=30, depth=15)
    folder = converted(forest, tmp_path, division="auto", voting=voting)
    parts = files.read_json(folder / "parts.json")["parts"]
    assert len(parts) > 1
    in_kernel = KernelForest(folder)
    assert len(in_kernel.programs) == 1 + len(parts)
    for part, program in zip(parts, in_kernel.programs[1:], strict=True):
        thresholds = [convert.integer_thresholds(trees_of(forest)[tree], "exact") for tree in part]
        assert program.instructions < sum(tailcall.tree_instructions(limits, 2) for limits in thresholds) + 100
        assert program.verified_instructions < 3 * program.instructions
    samples = at_ends(forest.n_features_in_, 500)
    predict = Forest(forest, voting).predict
    assert in_kernel(samples) == [predict(sample) for sample in samples.tolist()]


@pytest.mark.parametrize("classes", [2, 4])
def test_the_bound_holds_for_wide_thresholds(classes: int, tmp_path: Path) -> None:
    forest = forest_between(-(2**62), 2**62, classes=classes, rows=2_000, leaf=1)
    bound = sum(
        tailcall.tree_instructions(convert.integer_thresholds(tree, "exact"), classes) for tree in trees_of(forest)
    )
    _, (_, part) = kernel.load(converted(forest, tmp_path, division="auto"), DEFINITION, "window", FlowTable())
    assert part.instructions < bound + 100


@pytest.mark.parametrize("engine", ENGINES)
def test_the_classifier_refuses_a_model_of_other_features_than_windows_have(engine: str, tmp_path: Path) -> None:
    folder = converted(FORESTS["16 features"], tmp_path, engine=engine)
    with pytest.raises(UserError, match=f"has 16 features, a window has {len(tables.FEATURES)}"):
        kernel.load(folder, DEFINITION, "window", FlowTable())


# inline


def test_inline_is_verified_without_following_paths_through_all_trees(tmp_path: Path) -> None:
    folder = converted(noisy_forest(trees=10, depth=10), tmp_path, engine="inline")
    module, _ = programs.load(folder, DEFINITION, "window", FlowTable())
    program = module.load("bench_infer")
    assert program.verified_instructions < 2 * program.instructions


# table


@pytest.mark.parametrize("form", ["bitvectors", "nodes"])
@pytest.mark.parametrize("voting", ["soft", "majority"])
def test_one_compiled_program_for_all_forests(
    form: str, voting: Voting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each forest swapped in for the one before: 0 differences to the reference and, soft, to scikit-learn."""
    if form == "nodes":
        monkeypatch.setattr(table_engine, "BITVECTOR_BYTES_MAX", 0)
    in_kernel = KernelForest(as_table(FORESTS["windows"], tmp_path / "first"))
    for number, name in enumerate(OF_WINDOWS):
        forest = FORESTS[name]
        folder = as_table(forest, tmp_path / str(number), voting)
        assert files.read_json(folder / "parts.json")["form"] == form
        kernel.swap(in_kernel.module, folder)
        around = np.random.default_rng(0).permutation(around_thresholds(forest))[:2_000]
        samples = np.concatenate([around, at_ends(forest.n_features_in_, 200)])
        predict = Forest(forest, voting).predict
        wanted = [predict(sample) for sample in samples.tolist()]
        assert in_kernel(samples) == wanted
        if voting == "soft":
            assert wanted == forest.predict(samples).tolist()


@pytest.mark.parametrize("form", ["bitvectors", "nodes"])
def test_eight_classes(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if form == "nodes":
        monkeypatch.setattr(table_engine, "BITVECTOR_BYTES_MAX", 0)
    forest = forest_between(-1_000, 1_000, classes=8, rows=2_000)
    samples = around_thresholds(forest)[:2_000]
    assert KernelForest(as_table(forest, tmp_path))(samples) == forest.predict(samples).tolist()


def test_the_largest_forest(tmp_path: Path) -> None:
    """500 trees of depth 20: walked, verified in less than 100,000 steps, swapped in, and right."""
    forest = noisy_forest(trees=500, depth=20, rows=2_000)
    folder = as_table(forest, tmp_path)
    assert files.read_json(folder / "parts.json")["form"] == "nodes"
    in_kernel = KernelForest(folder)
    assert all(program.verified_instructions < 100_000 for program in in_kernel.programs)
    kernel.swap(in_kernel.module, folder)
    bounds = [10**9 if name.endswith("_var") else 50_000 for name in tables.FEATURES]
    samples = np.random.default_rng(0).integers(0, bounds, (300, len(bounds)))
    assert in_kernel(samples) == forest.predict(samples).tolist()


def test_sixteen_features_are_verified_in_a_tenth_of_the_budget(tmp_path: Path) -> None:
    in_kernel = KernelForest(as_table(FORESTS["16 features, extra trees"], tmp_path))
    assert all(program.verified_instructions < 100_000 for program in in_kernel.programs)


@pytest.mark.parametrize("form", ["bitvectors", "nodes"])
def test_a_swap_leaves_no_packet_unclassified_or_classified_by_half_of_each(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two forests of 500 trees, swapped back and forth while one CPU does nothing but classify."""
    if form == "nodes":
        monkeypatch.setattr(table_engine, "BITVECTOR_BYTES_MAX", 0)
    forests = [_by_a_hair(trees=500, winner=winner) for winner in (0, 1)]
    folders = [as_table(forest, tmp_path / str(label)) for label, forest in enumerate(forests)]
    module, _ = programs.load(folders[0], DEFINITION, "window", FlowTable())
    programs.begin_round(module, programs.INPUTS)
    cpus = sorted(os.sched_getaffinity(0))
    seen, done, swaps = np.zeros(3, int), threading.Event(), 0

    def classify() -> None:
        os.sched_setaffinity(0, cpus[:1])  # of this thread
        run = TestRun(module.load("bench_infer"))
        while not done.is_set():
            programs.forget(module)
            run(bytes(64), times=programs.INPUTS)
            classes = programs.answers(module, programs.INPUTS)
            assert (classes >= 0).all()
            seen[:] += np.bincount(classes, minlength=3)

    with ThreadPoolExecutor(1) as threads:
        classifying = threads.submit(classify)
        os.sched_setaffinity(0, cpus[-1:])  # or the scheduler may let them take turns
        try:
            while swaps < 40 and not classifying.done():
                swaps += 1
                kernel.swap(module, folders[swaps % 2])
        finally:
            os.sched_setaffinity(0, cpus)
            done.set()
        classifying.result()
    assert seen[0] > 0
    assert seen[1] > 0
    assert seen[2] == module.counters()["inference_broken"] == 0


def test_a_decision_says_which_model_made_it(tmp_path: Path) -> None:
    folders = [as_table(FORESTS[name], tmp_path / name) for name in ("windows", "one tree")]
    module, (program, *_) = kernel.load(folders[0], DEFINITION, "packet", FlowTable(), replay=True)
    ring, run, t_ns = Ring(module, "decisions", DECISION_EVENT), TestRun(program), 0
    frame, versions = new_flow(), []
    for swaps in range(4):
        if swaps:
            versions.append(kernel.swap(module, folders[swaps % 2]))
        for _ in range(100):
            t_ns += 20_000_000
            run(frame, t_ns)
        assert set(ring.take()["model"]) == {1 + swaps}
    assert versions == [2, 3, 4]


def _by_a_hair(*, trees: int, winner: int) -> object:
    """A forest that gives half its votes to `winner`, half to class 2: who begins one and ends the other finds 2."""
    forest = forest_between(0, 1_000, classes=3, trees=trees, leaf=600)
    for number, tree in enumerate(trees_of(forest)):
        first_half = number < trees // 2
        shares = np.zeros(3)
        shares[winner] = 0.25 if first_half == (winner == 0) else 0.75
        shares[2] = 1 - shares[winner]
        tree.value[:, 0, :] = shares
    return forest


def test_what_cannot_be_swapped_in_is_refused(tmp_path: Path) -> None:
    small = as_table(FORESTS["one tree"], tmp_path / "small")
    module, _ = kernel.load(small, DEFINITION, "window", FlowTable())
    with pytest.raises(UserError, match="3 classes"):
        kernel.swap(module, as_table(FORESTS["three classes"], tmp_path / "classes"))
    with pytest.raises(UserError, match="16 features"):
        kernel.swap(module, as_table(FORESTS["16 features"], tmp_path / "features"))
    with pytest.raises(UserError, match="TABLE_LEVELS"):
        kernel.swap(module, as_table(noisy_forest(trees=3, depth=20), tmp_path / "deep"))
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="inline"):
        kernel.swap(module, converted(FORESTS["one tree"], tmp_path / "other", engine="inline"))
