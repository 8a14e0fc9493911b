"""figures: every figure can be drawn, says what it must, and comes out as PDF and PNG.

The tables are made up: enough to draw, nothing to conclude from.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.figures import words

from upfml.arms import SETS, Arm, Arms
from upfml.base import tables
from upfml.base.classes import APPLICATIONS, EMBB, URLLC
from upfml.base.errors import UserError
from upfml.model.baselines import Baselines
from upfml.report import metrics
from upfml.report.figures import (
    accuracy,
    bench_inference,
    bench_path,
    bench_saturation,
    context_switches,
    cpu_usage,
    flow_table,
    generalise,
    latency,
    style,
    sweep,
    traffic,
)
from upfml.studies.bench import inference, path, saturation

EVERY = Arms.of("every")

ARMS = SETS["compared"]
SPLIT = {
    "accuracy": 0.98,
    "accuracy_low": 0.97,
    "accuracy_high": 0.99,
    "balanced_accuracy": 0.96,
    "majority_accuracy": 0.87,
    "one_threshold_accuracy": 0.9,
    "test_windows": 400,
    "confusion": [[345, 5], [3, 47]],
}


def decisions(trials: int = 3, arms: list[str] = ARMS) -> pd.DataFrame:
    random, frames = np.random.default_rng(1), []
    for arm in (arm for arm in arms if Arm.parse(arm).classifies):
        base_ns = 100 if arm.startswith("kernel") else 5000
        for trial in range(1, trials + 1):
            label = np.repeat([0, 0, 0, 1], 25)
            steps = random.lognormal(np.log(base_ns), 0.3, (3, 100)).astype("int64").cumsum(axis=0)
            start = np.zeros(100) if arm.startswith("kernel") else steps[0]
            stamps = dict(zip(("features", "label", "delivered"), steps, strict=True))
            rows = {"label": label, "predicted": np.where(random.random(100) < 0.05, 1 - label, label)}
            rows |= {"iat_var": 300 + 200 * label}
            rows |= {f"t_{name}_ns": 10**12 + at for name, at in stamps.items()}
            rows |= {"repeats": 0, "t_packet_ns": 10**12, "t_start_ns": 10**12 + start.astype("int64")}
            rows |= {"t_sent_ns": 10**12, "arm": arm, "trial": trial}
            frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)


def samples(arms: list[str] = ARMS, trials: int = 3) -> pd.DataFrame:
    random, frames = np.random.default_rng(2), []
    for arm in arms:
        for trial in range(1, trials + 1):
            rows = []
            for second in range(5):
                usr, switches = random.gamma(20, 0.3), random.gamma(40, 100)
                entities = ("cpu-all", "upf", "cpu-0", "cpu-1")
                rows += [("mpstat", second, entity, usr, 1, 2, 0, None, usr + 3, None) for entity in entities]
                rows.append(("procstat", second, "cpu-all", usr, 1, 2, 0, usr + 4, usr + 3, switches))
                rows.append(("sched_switch", second, "upf", *[None] * 6, switches))
                if arm != "none":
                    rows.append(("pidstat", second, "classifier", usr, 1, None, None, None, usr + 1, switches / 9))
                    rows.append(("sched_switch", second, "classifier", *[None] * 6, switches / 9))
            frame = pd.DataFrame(rows, columns=list(tables.SAMPLES.columns)).assign(arm=arm, trial=trial)
            frames.append(tables.typed(frame, tables.TURN_SAMPLES))
    return pd.concat(frames, ignore_index=True)


def turns(arms: list[str] = ARMS, trials: int = 3) -> pd.DataFrame:
    """The first turn of each arm is noisy."""
    rows = [
        {"arm": arm, "trial": trial, "received": 0 if arm == "none" else 999, "lost": int(arm == "user")}
        for arm in arms
        for trial in range(1, trials + 1)
    ]
    frame = pd.DataFrame(rows)
    same = {name: 1 for name in tables.TURNS.columns if name not in frame} | {"start_ns": 0, "end_ns": 3 * 10**9}
    same["upf_idle_ns"] = 10**6 * np.random.default_rng(3).integers(1_800, 2_700, len(frame))
    same["xdp_mode"] = np.where(frame["arm"] == "none", "", "native")
    same["noise"] = np.where(frame["trial"] == 1, "5.0 % stolen", "")
    return tables.typed(frame.assign(**same), tables.TURNS)


def measured(arms: list[str] = ARMS, trials: int = 3) -> pd.DataFrame:
    return metrics.from_runs(EVERY, decisions(trials, arms), samples(arms, trials), turns(arms, trials))


def swept(refused: Callable[[int, int], bool] = lambda depth, trees: depth * trees >= 200) -> pd.DataFrame:
    rows = []
    for depth in (3, 10, 15):
        for trees in (5, 20):
            out = refused(depth, trees)
            size = None if out else 10.0 * depth * trees
            reason = "BPF program is too large" if out else ""
            rows.append(
                (depth, trees, depth * trees, 3, "refused" if out else "loaded", reason, size, size, size, 0.97, 0.97,
                 None if out else 0.97, 0.7, 0.9, 300, None if out else 90.0, None if out else 200.0, 3000.0, 9000.0)
            )  # fmt: skip
    return tables.typed(pd.DataFrame(rows, columns=list(tables.SWEEP.columns)), tables.SWEEP)


def flooded() -> pd.DataFrame:
    rows = [
        (kind, flows, 10**6, 39, 10**6 - flows, 0, 0, 512, 1186, 1186, 1186 if kind == "lru" else 1137)
        for kind in ("lru", "hash")
        for flows in (1_024, 16_384, 262_144)
    ]
    return tables.typed(pd.DataFrame(rows, columns=list(tables.FLOOD.columns)), tables.FLOOD)


def inferences() -> pd.DataFrame:
    """Engines on forests of two depths; one engine is refused the largest."""
    rows = []
    for depth in (5, 20):
        for trees in (1, 10, 500):
            for at, engine in enumerate(["tailcall", "table", *inference.USER_SPACE]):
                refused = engine == "tailcall" and depth * trees == 10_000
                size = 0 if engine in inference.USER_SPACE else 100.0 * trees
                numbers = dict.fromkeys(inference.COLUMNS[3:10], size) | {"ns_net": 2.0**at * trees, "agree": 1.0}
                row = {"forest": f"depth{depth}-trees{trees}", "engine": engine}
                row |= {"refused_reason": "too many jumps"} if refused else numbers
                rows += [row | {"order": order} for order in inference.ORDERS]
    return pd.DataFrame(rows, columns=inference.COLUMNS)


def ways() -> pd.DataFrame:
    """The steps of a packet's way, dearer with more flows."""
    rows = [
        (flows, *way, step, at * flows**0.2, flows**0.2, 1 / len(path.STEPS), float(at))
        for flows in (1, 1_000, 1_000_000)
        for way in path.WAYS
        for at, step in enumerate(path.STEPS, 1)
    ]
    return pd.DataFrame(rows, columns=path.COLUMNS)


def saturated() -> pd.DataFrame:
    """Four turns of every arm of the live benchmark, the engines ever slower."""
    rows = [
        (arm, engine, turn, 1e6 / (at + 1) + 1e4 * turn, 2 / (at + 1), 4e6, 0.2, 0.99, 32 * bool(engine), 7, "native")
        for turn in range(4)
        for at, (arm, engine) in enumerate(saturation.ARMS)
    ]
    return pd.DataFrame(rows, columns=saturation.COLUMNS)


def trace() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Packets, flows and rungs: one control flow, one video flow, and one that no generator made."""
    frames = []
    for port, gap_ms, length in ((5001, 10, 100), (80, 1, 1400), (22, 500, 60)):
        t_ns = np.arange(0, 10**10, gap_ms * 10**6)
        columns = {"t_ns": t_ns, "iat_ns": np.diff(t_ns, prepend=-1), "length_bytes": length, "src_port": port}
        frames.append(pd.DataFrame(columns))
    packets = pd.concat(frames, ignore_index=True)
    packets["iat_ns"] = packets["iat_ns"].where(packets["iat_ns"] > 1, -1)
    packets = packets.assign(src="10.60.0.1", dst="10.70.0.1", dst_port=9000, protocol=6)
    flows = pd.DataFrame({"src_port": [5001, 80], "label": [URLLC, EMBB], "application": ["robot-arm", "video"]})
    flows = flows.assign(src="10.60.0.1", dst="10.70.0.1", dst_port=9000, protocol=6)
    rungs = pd.DataFrame({"t_s": [0.5, 3.0, 6.0], "client": "client-1", "bitrate_mbit_s": [0.5, 2.0, 4.0]})
    return packets, flows, rungs


def judged() -> dict[str, Any]:
    """generalise.json: every application in the last scenario, perfect on held-out windows, no interval in another."""
    scenarios = []
    for scenario, percent in (("held-out", 100.0), ("bottleneck", 80.0), ("other-applications", 60.0)):
        interval = dict.fromkeys(("low", "high"), None) if percent == 80 else {"low": percent - 9, "high": percent}
        scores: dict[str, Any] = {}
        for name in ("accuracy", "balanced_accuracy"):
            scores |= {f"{name}_pct": percent, f"{name}_retrained_pct": [percent - 20, percent]}
            scores |= {f"{name}_{end}_pct": bound for end, bound in interval.items()}
        made = APPLICATIONS[:-1] if scenario == "other-applications" else ["robot-arm", "video"]
        labels = [0, 0, 0, 1, 1, -1, -1, -1] if len(made) > 2 else [0, 1]
        run = {"duration_s": 20.0, "xdp_mode": "native", "events_lost": 1, "events_received": 999}
        scenarios.append(
            {
                "scenario": scenario,
                "classifiers": dict.fromkeys(("forest", "one_threshold", "majority"), scores),
                "applications": [
                    {"application": application, "label": label, "flows": 9, "windows": 1234,
                     "called": {"forest": {"URLLC": 1000, "eMBB": 234}}, "called_embb_retrained_pct": [3.0, 90.0]}
                    for application, label in zip(made, labels, strict=True)
                ],
            } | ({} if scenario == "held-out" else {"run": run})
        )  # fmt: skip
    method = {"window_ms": 500.0, "resamples": 2000, "retrained": 20, "one_threshold": BASELINES.in_words()}
    return {"method": method, "scenarios": scenarios}


def draw_traffic(n3_rate_mbit_s: list[float] | None) -> Figure:
    return traffic.draw(*trace(), 0.0, "native", warmup_s=1, duration_s=10, n3_rate_mbit_s=n3_rate_mbit_s)


BASELINES = Baselines(URLLC, "iat_var", 400.5, URLLC, EMBB)
SCORES = {"random": SPLIT, "grouped": SPLIT}
TIMER = {"kernel_ns": 35.0, "native_ns": 24.0, "python_ns": 76.0}
FIGURES: dict[str, Callable[[], Figure]] = {
    "traffic": lambda: draw_traffic([60, 12, 60]),
    "accuracy": lambda: accuracy.draw(EVERY, decisions(), turns(), SCORES, BASELINES, 500),
    "latency": lambda: latency.draw(EVERY, decisions(), turns(), TIMER, 500),
    "cpu_usage": lambda: cpu_usage.draw(EVERY, samples(), turns(), measured(), 500),
    "context_switches": lambda: context_switches.draw(EVERY, samples(), turns(), 500),
    "sweep": lambda: sweep.draw(swept(), 500),
    "generalise": lambda: generalise.draw(judged()),
    "flow_table": lambda: flow_table.draw(flooded(), 20),
    "bench_inference": lambda: bench_inference.draw(inferences()),
    "bench_path": lambda: bench_path.draw(ways()),
    "bench_saturation": lambda: bench_saturation.draw(saturated()),
}


@cache
def drawn(name: str) -> Figure:
    """One of FIGURES, for tests that only look at it."""
    return FIGURES[name]()


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_written_as_vector_and_picture(name: str, tmp_path: Path) -> None:
    figure = drawn(name)
    style.save(figure, tmp_path / f"{name}.pdf", tmp_path / f"{name}.png", note=None)
    pdf = (tmp_path / f"{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"/Type3" not in pdf and b"CreationDate" not in pdf
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.pdf", f"{name}.png"}
    assert figure.get_size_inches()[0] == style.PAGE_IN


@pytest.mark.parametrize("name", FIGURES)
def test_no_label_touches_its_neighbour_or_the_edge(name: str) -> None:
    figure = drawn(name)
    figure.draw_without_rendering()  # which gives everything its place
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    for axes in figure.axes:
        labels = [label for label in axes.get_xticklabels() if label.get_text() and label.get_visible()]
        boxes = [label.get_window_extent() for label in labels]
        assert not any(left.overlaps(right) for left, right in pairwise(boxes)), [label.get_text() for label in labels]
        titled = axes.title.get_window_extent() if axes.get_title() else axes.get_window_extent()
        assert titled.x1 <= figure.bbox.x1 and titled.y1 <= figure.bbox.y1


@pytest.mark.parametrize("name", ["accuracy", "latency", "cpu_usage", "context_switches"])
def test_what_was_run_stands_in_small_print(name: str) -> None:
    said = words(drawn(name))
    assert "n = 3 trials per arm" in said and "window 500 ms" in said
    assert "user 0.10 %" in said and "kernel 0.00 %" in said
    assert "noisy turns: " in said


REPLAYED = ["sweep", "flow_table", "bench_inference", "bench_path"]


@pytest.mark.parametrize("name", FIGURES)
def test_live_numbers_have_their_xdp_mode_beside_them_and_replayed_ones_none(name: str) -> None:
    assert ("XDP mode: native" in words(drawn(name))) == (name not in REPLAYED)


def test_every_mode_that_was_used_is_named() -> None:
    both = turns()
    both.loc[both["arm"] == "kernel", "xdp_mode"] = "generic"
    assert "XDP mode: native and generic" in words(context_switches.draw(EVERY, samples(), both, 500))


@pytest.mark.parametrize("missing", ["user", "kernel"])
def test_a_missing_arm_names_the_key(missing: str) -> None:
    left = [arm for arm in ARMS if not arm.startswith(missing)]
    rest = decisions(arms=left)
    for draw in (
        lambda: cpu_usage.draw(EVERY, samples(left), turns(left), measured(left), 500),
        lambda: context_switches.draw(EVERY, samples(left), turns(left), 500),
        lambda: latency.draw(EVERY, rest, turns(left), TIMER, 500),
        lambda: accuracy.draw(EVERY, rest, turns(left), SCORES, BASELINES, 500),
    ):
        with pytest.raises(UserError, match=missing) as caught:
            draw()
        assert "arms" in caught.value.remedy


def test_forwarding_alone_is_drawn_only_where_it_was_run() -> None:
    for arms, drawn in ((ARMS, True), (["user", "kernel"], False)):
        assert (
            "forward only" in words(cpu_usage.draw(EVERY, samples(arms), turns(arms), measured(arms), 500))
        ) == drawn
        assert ("forward only" in words(context_switches.draw(EVERY, samples(arms), turns(arms), 500))) == drawn


def test_every_arm_that_can_be_named_looks_like_no_other() -> None:
    looks = {arm.name: style.look(arm) for arm in EVERY}
    assert len({(look.colour, look.hatch) for look in looks.values()}) >= len(looks) - 4  # some differ in words alone
    assert len({look.label for look in looks.values()}) == len(looks)


def test_arms_that_send_only_changes_have_no_latency() -> None:
    assert "kernel-change" not in words(drawn("latency"))


def test_one_trial_has_a_ratio_without_interval() -> None:
    said = words(latency.draw(EVERY, decisions(1), turns(trials=1), TIMER, 500))
    assert "n = 1 trial per arm" in said
    assert "user-perf / kernel-packet-perf: ×" in said and "[" not in said


def test_ratios_of_noisy_trials_fit_over_their_panels() -> None:
    noisy = decisions()
    early = ("t_packet_ns", "t_sent_ns", "t_start_ns")
    later = [name for name in noisy if name.startswith("t_") and name not in early]
    waited = noisy["trial"].map({1: 0, 2: 10**5, 3: 10**7}).where(noisy["arm"] == "user-perf", 0)
    noisy[later] = noisy[later].add(waited, axis="index")
    figure = latency.draw(EVERY, noisy, turns(), TIMER, 500)
    figure.draw_without_rendering()
    assert "k]" in words(figure) or "M]" in words(figure)
    assert all(axes.title.get_window_extent().x1 <= figure.bbox.x1 for axes in figure.axes)


def test_the_papers_values_stand_as_reference() -> None:
    said = words(drawn("latency"))
    assert "0.9046 µs" in said and "32.88 µs" in said
    assert "the paper's mean" in words(drawn("cpu_usage"))


def test_refused_points_are_drawn_with_the_verifiers_reason() -> None:
    figure = sweep.draw(swept(), 500)
    assert "Refused 10/20, 15/20 (depth/trees): BPF program is too large" in words(figure)
    strips = figure.axes[:3]
    assert all(sum(len(line.get_xdata()) for line in strip.lines) == 2 for strip in strips)


def test_a_sweep_may_be_refused_or_loaded_whole() -> None:
    assert "Refused 3/5" in words(sweep.draw(swept(lambda *_: True), 500))
    assert "(depth/trees)" not in words(sweep.draw(swept(lambda *_: False), 500))


def test_a_sweep_of_one_point_is_drawn() -> None:
    assert "5 trees" in words(sweep.draw(swept().iloc[:1], 500))


def test_traffic_counts_each_class_and_what_nobody_made() -> None:
    said = words(draw_traffic([60, 12]))
    assert "URLLC 1000 packets of 1 flows" in said and "eMBB 10000 packets of 1 flows" in said
    assert "20 packets of other flows" in said


def test_the_limit_of_n3_is_drawn_only_where_it_is_set() -> None:
    assert "rate limit of N3" in words(draw_traffic([60, 12]))
    assert "rate limit of N3" not in words(draw_traffic(None))


def test_refused_forests_are_drawn_with_their_engine_and_reason() -> None:
    said = words(drawn("bench_inference"))
    assert "Refused by tailcall: depth20-trees500: too many jumps" in said
    assert "Results equal to scikit-learn's: all." in said


def test_the_live_benchmark_says_what_was_decided_and_lost() -> None:
    said = words(drawn("bench_saturation"))
    assert all(engine in said for engine in inference.ENGINES)
    assert "384 decisions" in said and "21 events lost" in said
    assert "1.00 ×" in said and "0.50 × [0.50, 0.50]" in said


def test_scenarios_show_what_each_application_is_called() -> None:
    said = words(drawn("generalise"))
    assert "81.0 % URLLC retrained 10–97 1,234 w. of 9 fl." in said
    assert "voice (neither)" in said and "download (eMBB)" in said
    assert "held out of training" in said and "events lost 0.10 %" in said


def test_a_note_is_written_large_across_the_figure_and_is_not_cut_off(tmp_path: Path) -> None:
    for width_in, height_in in ((style.PAGE_IN / 2, 2.5), (style.PAGE_IN, 5)):
        figure = style.sheet(width_in, height_in)
        figure.subplots()
        style.save(figure, tmp_path / "without.png", note=None)
        style.save(figure, tmp_path / "with.png", note="quick run: too short for conclusions")
        assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()
        figure.draw_without_rendering()
        (written,) = figure.texts
        box, page = written.get_window_extent(), figure.bbox
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        assert box.width > 0.7 * page.width
