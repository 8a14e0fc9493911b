"""The page on how the forest generalises: scenarios, what each changes, and the class that each application gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from upfml.base import pages, words, xdpmode
from upfml.base.classes import CLASS_NAMES, NEITHER
from upfml.studies.generalise.evaluation import CLASSIFIERS, HELD_OUT

Row = Mapping[str, Any]

TITLES = {"forest": "forest", "one_threshold": "one threshold", "majority": "majority class"}
KINDS = {**CLASS_NAMES, NEITHER: "neither"}

_HEAD = """# Does it generalise?

This page scores the deployed forest on traffic that it was not trained on. `snakemake generalise` makes it.
`generalise.json` has the same numbers, and `generalise.parquet` every window. No flow, run or seed of a scenario was in
training. {held_out} is different: these are windows of the training trace, kept from training at random, as in the
paper.

- **majority class**: always {majority}, the class that is larger in training.
- **one threshold**: {one_threshold}; fitted on the forest's training windows.
- Windows are {window_ms:g} ms long. Brackets hold {confidence:.0f} % intervals over {resamples:,} draws of flows within
  each class. If the forest judges every flow alike, every draw gives the same answer, and the interval has no width. It
  does not mean that other flows would be judged alike, too.
- **retrained**: the lowest and the highest of {retrained} forests. Each was trained like this one, on another draw of
  the training flows. Where they lie far apart, other training traffic would give another answer.
- Accuracy leaves out applications of neither class. A table below shows what the forest calls them.
- {modes}, of the collector that captured the scenarios.
"""


def markdown(found: Mapping[str, Any]) -> str:
    """The page, from generalise.json."""
    method, scenarios = found["method"], found["scenarios"]
    head = _HEAD.format(
        **{**method, "confidence": 100 * method["confidence"]}, held_out=f"“{name(HELD_OUT)}”", modes=_modes(scenarios)
    )
    parts = [head, "## Accuracy", "", _accuracies(scenarios), "", "## What the forest calls each application", ""]
    parts += [_applications(scenarios), "", "## What each scenario changes", "", _scenarios(scenarios), ""]
    return "\n".join([*parts, "## In words", "", *_in_words(scenarios), ""])


def _modes(scenarios: Sequence[Row]) -> str:
    return xdpmode.words(scenario["run"]["xdp_mode"] for scenario in scenarios if "run" in scenario)


def name(scenario: str) -> str:
    """A scenario's name in running text."""
    return scenario.replace("-", " ") if scenario != HELD_OUT else "held out of training"


def _accuracies(scenarios: Sequence[Row]) -> str:
    rows = []
    for scenario in scenarios:
        for classifier in CLASSIFIERS:
            scores = scenario["classifiers"][classifier]
            confusion = "; ".join(" / ".join(f"{count:,}" for count in row) for row in scores["confusion"])
            both = [
                cell
                for score in ("accuracy", "balanced_accuracy")
                for cell in (_interval(scores, score), _range(scores.get(f"{score}_retrained_pct", [])))
            ]
            rows.append([name(scenario["scenario"]), TITLES[classifier], *both, confusion])
    counts = f"true {'; '.join(CLASS_NAMES.values())}: called {' / '.join(CLASS_NAMES.values())}"
    return pages.table(["scenario", "classifier", "accuracy, %", "retrained", "balanced, %", "retrained", counts], rows)


def _applications(scenarios: Sequence[Row]) -> str:
    rows = []
    for scenario in scenarios:
        for made in scenario["applications"]:
            windows, called = made["windows"], made["called"]["forest"]
            shares = [f"{100 * called[said] / windows:.1f}" for said in CLASS_NAMES.values()]
            counts = [f"{made['flows']}", f"{windows:,}"]
            others = _range(made["called_embb_retrained_pct"])
            rows.append(
                [name(scenario["scenario"]), made["application"], KINDS[made["label"]], *counts, *shares, others]
            )
    called = [f"called {said}, %" for said in CLASS_NAMES.values()]
    return pages.table(["scenario", "application", "true class", "flows", "windows", *called, "eMBB, retrained"], rows)


def _scenarios(scenarios: Sequence[Row]) -> str:
    rows = []
    for scenario in scenarios:
        if scenario["scenario"] == HELD_OUT:
            continue
        run = scenario["run"]
        differs = yaml.safe_dump(scenario["differs"], default_flow_style=True, width=10_000).strip()
        events = run["events_received"] + run["events_lost"]
        rows.append(
            [
                name(scenario["scenario"]),
                f"`{differs}`" if scenario["differs"] else "flows and seed only",
                f"{run['duration_s']:.0f}",
                f"{run['idle_before_pct']:.0f}",
                f"{run['events_lost']:,} of {events:,}",
                f"{scenario['windows_of_unknown_flows']}",
            ]
        )
    head = ["scenario", "differs from training in", "s", "idle before, %", "events lost", "windows of unknown flows"]
    return pages.table(head, rows)


def _in_words(scenarios: Sequence[Row]) -> list[str]:
    """What the numbers say: each scenario against the held-out windows and against the baselines."""
    held_out, *others = scenarios
    known = held_out["classifiers"]["forest"]
    lines = []
    for scenario in others:
        scores = scenario["classifiers"]
        forest, stump, always = (scores[classifier] for classifier in CLASSIFIERS)
        run = scenario["run"]
        idle = (
            f" Before, the machine was {run['idle_before_pct']:.0f} % idle instead of {run['idle_wanted_pct']:.0f} %."
            if run["idle_before_pct"] < run["idle_wanted_pct"]
            else ""
        )
        lost = known["balanced_accuracy_pct"] - forest["balanced_accuracy_pct"]
        apart = _apart(known, forest)
        worst = min(
            (each for each in scenario["applications"] if each["label"] != NEITHER),
            key=lambda each: _right(each),
        )
        lines.append(
            f"- **{name(scenario['scenario'])}**: balanced accuracy is {abs(lost):.1f} points "
            f"{'below' if lost > 0 else 'above'} that of held-out windows "
            f"({'the intervals do not meet' if apart else 'the intervals overlap'}). Compared with one threshold it "
            f"is {_points(forest['balanced_accuracy_pct'] - stump['balanced_accuracy_pct'])} points. Compared with the "
            f"majority class, accuracy is {_points(forest['accuracy_pct'] - always['accuracy_pct'])} points. The worst "
            f"application is {worst['application']}: {100 * _right(worst):.1f} % of its windows are right.{idle}"
        )
    return lines


def _points(difference: float) -> str:
    return words.number(difference, decimals=1, signed=True)


def _right(application: Row) -> float:
    return float(application["called"]["forest"][CLASS_NAMES[application["label"]]] / application["windows"])


def _apart(one: Row, other: Row) -> bool:
    bounds = [scores[f"balanced_accuracy_{end}_pct"] for scores in (one, other) for end in ("low", "high")]
    if None in bounds:
        return False
    return bool(bounds[1] < bounds[2] or bounds[3] < bounds[0])


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}" if values else "–"


def _interval(scores: Row, score: str) -> str:
    low, high = scores[f"{score}_low_pct"], scores[f"{score}_high_pct"]
    return words.with_interval(scores[f"{score}_pct"], low, high, decimals=2)
