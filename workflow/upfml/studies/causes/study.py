"""What each cause costs: every window classified by a forest that was not trained on it, under each chain.

Cross-validation has FOLDS folds of the flow clock's windows. They are stratified by class (`random`, the paper's kind
of split), or keep each flow on one side (`grouped`). Windows of another clock, and packets, take the fold of the
flow-clock window in which they begin. One forest's noise exceeds most effects, so everything is repeated with other
folds and forests. Intervals are a cluster bootstrap: it draws flows with replacement within each class, and
repetitions, too. The difference of two chains uses the same draws (Efron and Tibshirani 1993, chapters 8 and 13).
Forests are not trained again for a draw.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from upfml.base import published
from upfml.base.classes import CLASS_NAMES
from upfml.base.errors import UserError
from upfml.model import kinds
from upfml.model.baselines import Baselines
from upfml.model.kinds import round_shares
from upfml.studies.causes.arithmetic import FEATURES, Decisions, Integers, Trace, decisions, window_starts
from upfml.studies.causes.chains import AUTHORS, CAUSES, EXACT, HONEST, OTHERS, Chain, added_up
from upfml.studies.causes.forest import classes

SPLITS = ["random", "grouped"]
FOLDS = 5
RESAMPLES = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """Decisions of one chain: `predicted` (repetitions, decisions).

    Of each flow there are `total` (flows,), of which `right` (repetitions, flows) are right. `subjects` tells what was
    classified (Chain.subjects).
    """

    subjects: tuple[Any, ...]
    predicted: NDArray[np.int8]
    total: Integers
    right: Integers


class Experiment:
    """One trace under one split; folds, features and forests are made once and serve every chain that needs them."""

    def __init__(
        self, trace: Trace, window_ns: int, split: str, forest: Mapping[str, Any], seed: int, repetitions: int
    ) -> None:
        """`forest`: keywords of model.untrained. Raises UserError when the trace is too short to be split."""
        self._repetitions = repetitions
        self._trace, self._window_ns, self._forest, self._seed = trace, window_ns, forest, seed
        starts = window_starts(trace, "flow", window_ns)
        self._window = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(trace.flow)))
        flow = trace.flow[starts]
        kind = {"random": StratifiedKFold, "grouped": StratifiedGroupKFold}[split]
        groups = {"groups": flow} if split == "grouped" else {}
        self._folds = np.empty((self._repetitions, len(starts)), np.int64)
        try:
            for repetition in range(self._repetitions):
                folds = kind(FOLDS, shuffle=True, random_state=seed + repetition)
                for fold, (_, test) in enumerate(folds.split(flow, trace.labels[flow], **groups)):
                    self._folds[repetition, test] = fold
        except ValueError as error:
            raise UserError(
                f"the trace cannot be split into {FOLDS} folds ({split}): {error}",
                "capture for longer (capture.duration_s)",
            ) from error

    def tally(self, chain: Chain) -> Tally:
        """Every decision of the chain, each by the forest of the fold that it is in."""
        served = self._decisions(chain)
        predicted = np.empty((self._repetitions, len(served.flow)), np.int8)
        for repetition, fold, rows in self._by_fold(served):
            forest = self._trained(chain, repetition, fold)
            predicted[repetition, rows] = classes(forest, served.features[rows], chain.thresholds, chain.voting)
        return self._tallied(chain, served, predicted)

    def baselines(self) -> dict[str, Tally]:
        """What majority class and one threshold decide on the windows of scikit-learn on floats, by the same folds."""
        served = self._decisions(HONEST)
        windows = pd.DataFrame(served.features, columns=FEATURES).assign(label=self._trace.labels[served.flow])
        predicted = {
            name: np.empty((self._repetitions, len(served.flow)), np.int8) for name in ("majority", "one_threshold")
        }
        for repetition, _, rows in self._by_fold(served):
            fitted = Baselines.fit(windows.assign(split=np.where(rows, "test", "train")), "split", FEATURES)
            for name, said in predicted.items():
                said[repetition, rows] = getattr(fitted, name)(windows[rows])
        return {name: self._tallied(HONEST, served, said) for name, said in predicted.items()}

    def _tallied(self, chain: Chain, served: Decisions, predicted: NDArray[np.int8]) -> Tally:
        flows = len(self._trace.labels)
        right = predicted == self._trace.labels[served.flow]
        return Tally(
            chain.subjects,
            predicted,
            np.bincount(served.flow, minlength=flows),
            np.array([np.bincount(served.flow[of_one], minlength=flows) for of_one in right]),
        )

    def unlike_scikit_learn(self, chain: Chain) -> int:
        """How many decisions of all repetitions scikit-learn's own `predict` makes otherwise on the same features."""
        served, predicted = self._decisions(chain), self.tally(chain).predicted
        return sum(
            int(
                (
                    self._trained(chain, repetition, fold).predict(served.features[rows]) != predicted[repetition, rows]
                ).sum()
            )
            for repetition, fold, rows in self._by_fold(served)
        )

    def _by_fold(self, served: Decisions) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
        for repetition in range(self._repetitions):
            of = self._folds[repetition, self._window[served.begins]]
            yield from ((repetition, fold, of == fold) for fold in range(FOLDS) if (of == fold).any())

    def _decisions(self, chain: Chain) -> Decisions:
        return decisions(
            self._trace,
            chain.clock,
            self._window_ns,
            chain.served,
            every_packet=chain.every_packet,
            zeros_first=chain.zeros_first,
        )

    def _trained(self, chain: Chain, repetition: int, fold: int) -> kinds.TreeModel:
        return self._fit(Chain(trained=chain.trained, trained_clock=chain.trained_clock), repetition, fold)

    @functools.cache  # noqa: B019  # an Experiment lives for one split
    def _fit(self, chain: Chain, repetition: int, fold: int) -> kinds.TreeModel:
        rows = self._training(chain)
        others = self._folds[repetition, self._window[rows.begins]] != fold
        forest = kinds.untrained(**self._forest, seed=self._seed + repetition)
        return round_shares(forest.fit(rows.features[others], self._trace.labels[rows.flow[others]]))

    @functools.cache  # noqa: B019
    def _training(self, chain: Chain) -> Decisions:
        return decisions(self._trace, chain.trained_clock, self._window_ns, chain.trained)


class Bootstrap:
    """Draws of flows, within each class, and of repetitions, the same for every tally."""

    def __init__(self, labels: Integers, seed: int, repetitions: int) -> None:
        """`labels`: the class of each flow."""
        random = np.random.default_rng(seed)
        self._labels = labels
        self._flows = np.zeros((RESAMPLES, len(labels)))
        for label in np.unique(labels):
            of_class = np.flatnonzero(labels == label)
            self._flows[:, of_class] = random.multinomial(len(of_class), [1 / len(of_class)] * len(of_class), RESAMPLES)
        self._repetitions = random.multinomial(repetitions, [1 / repetitions] * repetitions, RESAMPLES) / repetitions

    def accuracy(self, tally: Tally) -> dict[str, float | None]:
        """In %, with its 95 % interval."""
        interval = np.percentile(self._drawn(tally), [2.5, 97.5])
        return {
            "accuracy_pct": _accuracy(tally),
            "accuracy_low_pct": float(interval[0]),
            "accuracy_high_pct": float(interval[1]),
            "balanced_accuracy_pct": self._balanced(tally),
            "decisions": int(tally.total.sum()),
        }

    def change(self, before: Tally, after: Tally) -> dict[str, float | None]:
        """By how many percentage points accuracy changes, with its 95 % interval, and how many decisions do.

        The mean over the repetitions; None when windows or packets are others.
        """
        interval = np.percentile(self._drawn(after) - self._drawn(before), [2.5, 97.5])
        same = before.subjects == after.subjects
        differently = float((before.predicted != after.predicted).sum() / len(before.predicted)) if same else None
        return {
            "points": _accuracy(after) - _accuracy(before),
            "points_low": float(interval[0]),
            "points_high": float(interval[1]),
            "balanced_points": self._balanced(after) - self._balanced(before),
            "decided_differently": differently,
            "decisions": int(after.total.sum()),
        }

    def _drawn(self, tally: Tally) -> Floats:
        right = ((self._repetitions @ tally.right) * self._flows).sum(axis=1)
        drawn: Floats = 100 * right / (self._flows @ tally.total)
        return drawn

    def _balanced(self, tally: Tally) -> float:
        shares = [
            tally.right[:, self._labels == label].mean(axis=0).sum() / tally.total[self._labels == label].sum()
            for label in np.unique(self._labels)
        ]
        return float(100 * np.mean(shares))


def _accuracy(tally: Tally) -> float:
    return float(100 * tally.right.mean(axis=0).sum() / tally.total.sum())


def run(trace: Trace, window_ns: int, forest: Mapping[str, Any], seed: int, repetitions: int) -> dict[str, Any]:
    """The study, as JSON has it: the causes in words, and for each split what each costs (see `_of_split`).

    `forest`: keywords of scikit-learn's. Raises UserError when the trace is too short to be split.
    """
    return {
        "trace": {
            "packets": len(trace.t_ns) + int(trace.life.max()) + 1,
            "flows": {name: int((trace.labels == label).sum()) for label, name in CLASS_NAMES.items()},
        },
        "method": {
            "window_ms": window_ns / 1e6,
            "forest": dict(forest),
            "folds": FOLDS,
            "repetitions": repetitions,
            "resamples": RESAMPLES,
        },
        "paper_accuracy_pct": {arm: published.value("accuracy", arm) for arm in ("sklearn", "user", "kernel")},
        "causes": [{"cause": cause.name, "here": cause.here, "authors": cause.authors} for cause in CAUSES],
        "splits": {
            split: _of_split(
                Experiment(trace, window_ns, split, forest, seed, repetitions),
                Bootstrap(trace.labels, seed, repetitions),
            )
            for split in SPLITS
        },
    }


def _of_split(experiment: Experiment, bootstrap: Bootstrap) -> dict[str, Any]:
    """Accuracy of the chain's ends, this project's kernel and the baselines; changes for each cause and other chain.

    For each cause: `alone`, switched on in scikit-learn on floats; `cumulative`, on top of the causes before it.
    """
    tally = functools.cache(experiment.tally)

    def change(before: Chain, after: Chain) -> dict[str, float | None]:
        return bootstrap.change(tally(before), tally(after))

    rows, before = [], HONEST
    for cause, chain in zip(CAUSES, added_up(CAUSES), strict=True):
        rows.append(
            {
                "cause": cause.name,
                "alone": change(HONEST, HONEST.but(**cause.switches)),
                "cumulative": change(before, chain) | bootstrap.accuracy(tally(chain)),
            }
        )
        before = chain
    return {
        "scikit_learn": bootstrap.accuracy(tally(HONEST)),
        "baselines": {name: bootstrap.accuracy(said) for name, said in experiment.baselines().items()},
        "authors": bootstrap.accuracy(tally(AUTHORS)) | change(HONEST, AUTHORS),
        "causes": rows,
        "others": [
            {"chain": other.name, "words": other.words}
            | change(HONEST, other.chain)
            | bootstrap.accuracy(tally(other.chain))
            for other in OTHERS
        ],
        "exact": change(HONEST, EXACT)
        | bootstrap.accuracy(tally(EXACT))
        | {"unlike_scikit_learn": experiment.unlike_scikit_learn(EXACT)},
    }
