"""The workflow as `make quick` runs it: killed, resumed, looked at, and run again."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.e2e.workflow import CONFIG, ROOT, namespaces, snakemake

from upfml.base import files, tables
from upfml.base.classes import NEITHER, URLLC

FIGURES = [
    *("traffic", "accuracy", "latency", "cpu_usage", "context_switches", "sweep"),
    *("accuracy_causes", "flow_table", "generalise"),
    *("load_rate", "load_flows", "load_period"),
]
POINT = "depth10-trees10"
DECIDING = ["user", "kernel-packet-perf", "kernel"]


def test_a_killed_run_leaves_nothing(left_by_the_kill: list[str]) -> None:
    assert left_by_the_kill == []


def test_every_figure_is_there_twice(finished: Path) -> None:
    for name in FIGURES:
        assert (finished / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (finished / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_first_page_says_that_the_run_is_too_short(finished: Path) -> None:
    assert "**quick run: too short for conclusions**" in (finished / "results/first_page.rst").read_text()


def test_the_settings_of_all_draw_every_figure_anew_and_measure_again(finished: Path) -> None:
    config = [CONFIG[0], CONFIG[1], CONFIG[3]]  # without the preset
    planned = snakemake(finished, "all", "--dry-run", config=config)
    jobs = {line.split()[0] for line in planned.stdout.splitlines() if re.fullmatch(r"\w+ +\d+", line)}
    assert {"capture", "classify", "load_turns", "exactness_run", "generalise_run", "causes", "flood"} <= jobs
    assert {f"figure_{name}" for name in FIGURES} <= jobs


def test_what_each_rule_took_is_a_page(finished: Path) -> None:
    page = (finished / "results/benchmarks.html").read_text()
    for rule in ("capture", "classify", "causes", "train", "flood"):
        assert f"<td>{rule}</td>" in page
    assert (finished / "results/benchmarks/capture.tsv").exists()


def test_nothing_is_left_running(finished: Path) -> None:
    assert namespaces() == []


def test_a_second_run_has_nothing_to_do(finished: Path) -> None:
    done = snakemake(finished, "all")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.parametrize(("target", "rule"), [("fig7", "figure_context_switches"), ("fig6", "figure_cpu_usage")])
def test_one_figure_again_is_one_rule(finished: Path, target: str, rule: str) -> None:
    figure = finished / f"figures/{rule.removeprefix('figure_')}.pdf"
    figure.unlink()
    done = snakemake(finished, target)
    assert done.returncode == 0, done.stderr[-3000:]
    assert figure.exists()
    assert {line.split()[0] for line in done.stderr.splitlines() if line.startswith("figure_")} == {rule}
    assert "classify" not in done.stderr


@pytest.fixture(scope="module")
def batch(finished: Path) -> Path:
    return finished / "results/runs" / POINT / "batch-1"


@pytest.mark.parametrize("arm", ["none", *DECIDING])
def test_every_arm_has_a_turn_in_every_trial(batch: Path, arm: str) -> None:
    turns = files.read(batch / "turns.parquet", tables.TURNS)
    mine = turns[turns["arm"] == arm]
    assert sorted(mine["trial"]) == [1, 2]
    assert ((mine["end_ns"] - mine["start_ns"]).between(2.9e9, 4e9)).all()
    assert (mine["n3_packets"] > 1000).all()
    assert (mine["run_cnt"] > 0).all() == (arm != "none")
    assert (mine["lost"] >= 0).all()
    samples = files.read(batch / "samples.parquet", tables.TURN_SAMPLES)
    seconds = samples[samples["arm"] == arm]
    assert {"mpstat", "pidstat", "procstat", "sched_switch"} == set(seconds["source"])
    per_turn = seconds[(seconds["source"] == "mpstat") & (seconds["entity"] == "cpu-all")].groupby("trial").size()
    assert per_turn.between(2, 4).all()
    assert ("classifier" in set(seconds["entity"])) == (arm != "none")


def test_turns_of_a_trial_follow_one_another(batch: Path) -> None:
    for _, trial in files.read(batch / "turns.parquet", tables.TURNS).groupby("trial"):
        ordered = trial.sort_values("place")
        assert (ordered["start_ns"].to_numpy()[1:] > ordered["end_ns"].to_numpy()[:-1]).all()
        assert list(ordered["place"]) == list(range(1 + len(DECIDING)))


def test_a_batch_says_how_it_was_run(batch: Path) -> None:
    provenance = json.loads((batch / "provenance.json").read_text())
    assert (provenance["xdp_modes"], provenance["trials"]) == (["native"], [1, 2])
    assert provenance["kernel"] == os.uname().release
    agents = json.loads((batch / "run.json").read_text())["agents"]
    assert set(agents) == set(DECIDING)
    assert agents["kernel-packet-perf"]["delivery"]["by"] == "perf"


@pytest.mark.parametrize("arm", DECIDING)
def test_decisions_are_of_the_arms_turns_and_in_order(batch: Path, arm: str) -> None:
    decisions = files.read(batch / "decisions.parquet", tables.TURN_DECISIONS)
    decisions = decisions[decisions["arm"] == arm]
    turns = files.read(batch / "turns.parquet", tables.TURNS)
    within = decisions.merge(turns[turns["arm"] == arm], on="trial")
    assert within["t_packet_ns"].between(within["start_ns"], within["end_ns"]).all()
    assert (decisions.groupby("trial").size() > 50).all()
    assert (decisions["label"] == -1).sum() < len(decisions) / 100  # a connection that closed before it asked
    early = ["t_packet_ns", "t_start_ns"] if arm.startswith("kernel") else ["t_packet_ns", "t_sent_ns", "t_start_ns"]
    steps = decisions[[*early, "t_features_ns", "t_label_ns", "t_delivered_ns"]]
    assert (steps.diff(axis="columns").iloc[:, 1:] >= 0).all(axis=None)


def test_user_and_kernel_classified_the_same_flows(batch: Path) -> None:
    """The same traffic: the same control flows, each seen in nearly every window, by both arms."""
    decisions = files.read(batch / "decisions.parquet", tables.TURN_DECISIONS)
    urllc = decisions[decisions["label"] == URLLC]
    windows = {arm: urllc[urllc["arm"] == arm].groupby(["trial", "flow"]).size() for arm in ("user", "kernel")}
    assert set(windows["user"].index) == set(windows["kernel"].index)
    assert (windows["user"] - windows["kernel"]).abs().max() <= 2


def test_arms_are_compared_over_the_trials(finished: Path) -> None:
    rows = json.loads((finished / "results/comparison.json").read_text())
    costs = {row["arm"]: row for row in rows if (row["metric"], row["against"]) == ("cpu_direct", "none")}
    assert set(costs) == set(DECIDING)
    assert costs["kernel-packet-perf"]["difference"] > costs["kernel"]["difference"] > 0
    assert costs["kernel"]["trials"] == 2
    enough = json.loads((finished / "results/runs/enough.json").read_text())
    assert (enough["batches"], enough["trials_made"]) == (1, 2)


@pytest.mark.parametrize("data", ["live", "replayed"])
def test_nobody_differs_from_the_reference(finished: Path, data: str) -> None:
    exactness = json.loads((finished / "results/exactness.json").read_text())
    assert exactness["live_events"]["lost"] == 0
    for arm in ("kernel", "user", "native", "sklearn"):
        judged = exactness[data][arm]
        assert judged["windows"] > 100
        assert (judged["feature_differences"], judged["decision_differences"]) == (0, 0)
    rows = json.loads((finished / "results/paper_vs_here.json").read_text())
    same = [row["here"] for row in rows if row["quantity"] == f"accuracy on the same windows, {data}"]
    assert len(same) == 5
    assert len(set(same[:3])) == 1
    assert all(0 < baseline < 100 for baseline in same[3:])  # majority and one threshold


def test_what_the_papers_loss_is_stands_in_words(finished: Path) -> None:
    page = (finished / "results/accuracy_causes.md").read_text()
    assert "The most likely causes are" in page
    assert "held out" in page  # the change of traffic, which the study cannot see, from the live run


def test_scenarios_are_judged_beside_the_baselines(finished: Path) -> None:
    found = json.loads((finished / "results/generalise.json").read_text())["scenarios"]
    assert [each["scenario"] for each in found] == ["held-out", "bottleneck", "other-applications"]
    judged = files.read(finished / "results/generalise.parquet", tables.JUDGED)
    for each in found:
        counted = judged[(judged["scenario"] == each["scenario"]) & (judged["label"] != NEITHER)]
        assert each["windows"] == len(counted) > 50
        for name, scores in each["classifiers"].items():
            assert scores["accuracy_pct"] == pytest.approx(100 * (counted[name] == counted["label"]).mean())
        assert each["classifiers"]["majority"]["balanced_accuracy_pct"] == 50
    assert {each["application"] for each in found[2]["applications"]} >= {"robot-arm", "download", "voice"}
    assert "other applications" in (finished / "results/generalise.md").read_text()


def test_one_scenario_changed_is_one_scenario_run(finished: Path, tmp_path: Path) -> None:
    changed = yaml.safe_load((ROOT / "presets/quick.yaml").read_text())["generalise"]
    changed["scenarios"][0]["testbed"]["n3_rate_mbit_s"] = [11]
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump({"generalise": changed}, sort_keys=False))
    planned = snakemake(finished, "generalise", "--dry-run", *CONFIG, str(tmp_path / "changed.yaml"), config=[])
    captured = re.findall(r"Capturing scenario (\S+)", planned.stdout + planned.stderr)
    assert set(captured) == {"bottleneck"}, planned.stdout[-3000:] + planned.stderr[-3000:]


def test_paper_vs_here_has_the_papers_numbers(finished: Path) -> None:
    rows = json.loads((finished / "results/paper_vs_here.json").read_text())
    for row in rows:
        assert set(row) == {
            "quantity",
            "arm",
            "unit",
            "paper",
            "here",
            "here_low",
            "here_high",
            "trials",
            "verdict",
            "sentence",
            "note",
        }
    published = {row["paper"] for row in rows}
    assert {99.97, 99.60, 99.91, 0.9046, 32.88, 2.91, 5.83, 12.87, 15.79, 3452.09, 5736.07} <= published
    assert (finished / "results/paper_vs_here.md").read_text().count("|") > 100


def test_the_load_has_every_arm_in_every_sweep(finished: Path) -> None:
    load = files.read(finished / "results/load/load.parquet", tables.LOAD)
    assert len(load) == 3 * 4  # arms, values
    breaks = json.loads((finished / "results/load/breaks.json").read_text())
    assert set(breaks["sweeps"]) <= {"rate", "flows", "period"}
    for sweep in breaks["sweeps"].values():
        assert set(sweep["arms"]) <= {"none", "user", "kernel"}


def test_the_sweep_has_every_point(finished: Path) -> None:
    sweep = files.read(finished / "results/sweep/sweep.parquet", tables.SWEEP)
    assert sorted(zip(sweep["max_depth"], sweep["n_estimators"], strict=True)) == [(3, 10), (10, 10)]
    assert (sweep["status"] == "loaded").all()
    assert (sweep["accuracy_kernel"] == sweep["accuracy_user"]).all()  # the same C on the same windows


def test_the_collector_and_the_replayed_classifier_see_the_same_windows(finished: Path) -> None:
    """Training windows (Python, from the collector's IATs) are those of the kernel on the same packets."""
    from upfml.bpf.flowtable import FlowTable
    from upfml.packets.features import Definition
    from upfml.replay import feed

    packets = files.read(finished / "results/capture/packets.parquet", tables.PACKETS)
    windows = files.read(finished / "results/windows/windows.parquet", tables.WINDOWS)
    model = finished / "results/convert" / POINT
    decisions, _, counters = feed.classify(packets, model, Definition(500_000_000, 1_000), "window", FlowTable())
    assert counters["event_lost"] == 0
    columns = ["flow", "window", "packets", *tables.FEATURES]
    left, right = (frame[columns].sort_values(["flow", "window"], ignore_index=True) for frame in (windows, decisions))
    pd.testing.assert_frame_equal(left, right, check_dtype=False)


def test_provenance_says_what_ran(finished: Path) -> None:
    record = json.loads((finished / "results/provenance.json").read_text())
    assert record["config_sha256"]
    assert record["clock"] == "CLOCK_MONOTONIC"


def test_a_wrong_key_is_named_without_a_traceback(tmp_path: Path) -> None:
    done = snakemake(tmp_path, "all", "--config", "sede=1")
    assert done.returncode != 0
    assert "sede" in done.stderr
    assert "remedy" in done.stderr
    assert "Traceback" not in done.stderr
