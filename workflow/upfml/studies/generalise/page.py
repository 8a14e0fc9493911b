"""How the forest generalises, as a page: scenarios, what each changes, and what each application is called."""

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

The deployed forest on traffic that it was not trained on. Made by `snakemake generalise`; the same numbers are in
`generalise.json`, every window in `generalise.parquet`. No flow, run or seed of a scenario was in training;
{held_out} is the training trace itself, windows that were kept from training at random, as in the paper.

- **majority class**: {majority}, always; the class that is larger in training.
- **one threshold**: {one_threshold}; fitted on the forest's training windows.
- In brackets: {confidence:.0f} % intervals over {resamples:,} draws of flows within each class; windows are of
  {window_ms:g} ms. Where every flow is judged alike, drawing flows cannot show that others would not be: the interval
  has no width.
- **retrained**: the lowest and the highest of {retrained} forests that were trained like this one, each on another draw
  of the training flows. Where they lie far apart, other training traffic would give another answer.
- Applications of neither class count in no accuracy; below is what they are called.
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
                f"`{differs}`" if scenario["differs"] else "flows and seed alone",
                f"{run['duration_s']:.0f}",
                f"{run['idle_before_pct']:.0f}",
                f"{run['events_lost']:,} of {events:,}",
                f"{scenario['windows_of_unknown_flows']}",
            ]
        )
    head = ["scenario", "differs from training in", "s", "idle before, %", "events lost", "windows of unknown flows"]
    return pages.table(head, rows)


def _in_words(scenarios: Sequence[Row]) -> list[str]:
    """What the numbers say: where the forest loses against the held-out windows, and against the baselines."""
    held_out, *others = scenarios
    known = held_out["classifiers"]["forest"]
    lines = []
    for scenario in others:
        scores = scenario["classifiers"]
        forest, stump, always = (scores[classifier] for classifier in CLASSIFIERS)
        run = scenario["run"]
        idle = (
            f" The machine was {run['idle_before_pct']:.0f} % idle before it, not {run['idle_wanted_pct']:.0f} %."
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
            f"- **{name(scenario['scenario'])}**: balanced accuracy {abs(lost):.1f} points "
            f"{'below' if lost > 0 else 'above'} that of held-out windows "
            f"({'the intervals do not meet' if apart else 'the intervals overlap'}), "
            f"{_points(forest['balanced_accuracy_pct'] - stump['balanced_accuracy_pct'])} points from one threshold's; "
            f"accuracy {_points(forest['accuracy_pct'] - always['accuracy_pct'])} points from the majority class's; "
            f"least right is {worst['application']}, {100 * _right(worst):.1f} % of its windows.{idle}"
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
