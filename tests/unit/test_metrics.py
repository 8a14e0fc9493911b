"""metrics: from tables to numbers, and intervals over the trials."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from upfml import metrics, tables
from upfml.errors import UserError

POINT = "depth10-trees10"


def decisions(arm: str, trial: int, labels: list[int], predicted: list[int], stamps: tuple[int, ...]) -> pd.DataFrame:
    """Decisions of one run, all with the same time stamps relative to the packet's arrival."""
    names = ["t_packet_ns", "t_start_ns", "t_features_ns", "t_label_ns", "t_delivered_ns"]
    frame = pd.DataFrame({"label": labels, "predicted": predicted, "repeats": 0})
    for name, stamp in zip(names, stamps, strict=True):
        frame[name] = 10**12 + stamp
    for at, (name, value) in enumerate(zip(metrics.RUN, (arm, POINT, trial), strict=True)):
        frame.insert(at, name, value)
    return frame


def samples(arm: str, trial: int, seconds: list[tuple[str, str, float, float]]) -> pd.DataFrame:
    """(source, entity, usr_pct, context_switches_per_s) of each reading; sys and soft are 1 % and 2 %."""
    rows = [
        (arm, POINT, trial, source, 0, entity, usr, 1.0, 2.0, 0.0, usr + 3, switches)
        for source, entity, usr, switches in seconds
    ]
    return pd.DataFrame(rows, columns=[*metrics.RUN, *tables.SAMPLES.columns])


def losses(*rows: tuple[str, int, int, int]) -> pd.DataFrame:
    """(arm, trial, received, lost) of each run."""
    frame = pd.DataFrame(rows, columns=["arm", "trial", "received", "lost"])
    return frame.assign(point=POINT)[[*metrics.RUN, "received", "lost"]]


def value(frame: pd.DataFrame, arm: str, metric: str, trial: int = 1) -> float:
    return float(metrics.by_trial(frame, arm, metric)[trial])


def test_the_run_is_read_from_the_path() -> None:
    run = metrics.RunPath.parse(Path("/x/results/runs/kernel/depth3-trees20/trial-12/decisions.parquet"))
    assert run == metrics.RunPath("kernel", "depth3-trees20", 12)


@pytest.mark.parametrize(
    "path", ["results/train/depth3-trees5/scores.json", "runs/user/depth3-trees5/trial-x/loss.json"]
)
def test_another_path_is_no_run(path: str) -> None:
    with pytest.raises(ValueError, match="trial"):
        metrics.RunPath.parse(path)


def test_gather_reads_files_of_several_runs_and_keeps_empty_ones_apart(tmp_path: Path) -> None:
    paths = []
    for arm, trial in (("none", 1), ("user", 2)):
        paths.append(tmp_path / f"runs/{arm}/{POINT}/trial-{trial}/decisions.parquet")
        frame = tables.empty(tables.DECISIONS)
        if arm == "user":
            frame.loc[0] = ["f", 1, 5, 10, 1, 10, 1, 0, 0, 0, 1, 1, 2, 3, 4, 4]
            frame = tables.typed(frame, tables.DECISIONS)
        tables.write(frame, paths[-1], tables.DECISIONS)
    gathered = metrics.gather(paths, tables.DECISIONS)
    assert gathered[metrics.RUN].to_numpy().tolist() == [["user", POINT, 2]]
    assert gathered["t_label_ns"].dtype == "int64"


def test_decisions_that_were_not_sent_count_as_the_one_before_them() -> None:
    frame = decisions("kernel", 1, [0, 0, 1], [0, 1, 1], (0, 1, 2, 3, 4)).assign(repeats=[5, 0, 2])
    assert metrics.confusion(frame).tolist() == [[6, 1], [0, 3]]


def test_losses_are_gathered_and_pooled(tmp_path: Path) -> None:
    paths = [tmp_path / f"runs/kernel/{POINT}/trial-{trial}/loss.json" for trial in (1, 2)]
    for path, lost in zip(paths, (0, 10), strict=True):
        tables.write_json({"received": 95 - lost // 2, "lost": lost, "rate": 0.0}, path)
    assert metrics.loss_pct(metrics.gather_losses(paths)) == pytest.approx(100 * 10 / 195)


def test_no_event_sent_is_no_loss_rate() -> None:
    assert metrics.loss_pct(losses(("none", 1, 0, 0))) is None


def test_confusion_has_true_classes_in_rows_and_leaves_out_flows_of_nobody() -> None:
    frame = decisions("kernel", 1, [0, 0, 0, 1, -1], [0, 0, 1, 1, 1], (0, 0, 1, 2, 3))
    assert metrics.confusion(frame).tolist() == [[2, 1], [0, 1]]


def test_decisions_give_accuracies_counts_and_times() -> None:
    found = metrics.from_decisions(decisions("user", 1, [0, 0, 0, 1, -1], [0, 0, 1, 1, 0], (0, 100, 130, 180, 180)))
    assert value(found, "user", "accuracy") == 75
    assert value(found, "user", "balanced_accuracy") == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert value(found, "user", "majority_accuracy") == 75
    assert (value(found, "user", "decisions"), value(found, "user", "decisions_without_label")) == (4, 1)
    times = {name: value(found, "user", f"{name}_mean") for name in metrics.LATENCIES}
    assert times == {
        "inference": 50,
        "features_and_inference": 80,
        "arrival_to_label": 180,
        "arrival_to_user_space": 180,
    }


def test_median_and_p99_of_a_time() -> None:
    frame = decisions("kernel", 1, [0, 1] * 50, [0, 1] * 50, (0, 0, 0, 0, 0))
    frame["t_label_ns"] += np.arange(1, 101)
    frame["t_delivered_ns"] += 1000
    found = metrics.from_decisions(frame)
    assert value(found, "kernel", "inference_median") == 50.5
    assert value(found, "kernel", "inference_p99") == pytest.approx(99.01)


def test_steps_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(UserError, match="t_label_ns before t_features_ns"):
        metrics.latency_ns(decisions("kernel", 1, [0], [0], (0, 0, 9, 8, 10)), "inference")


def test_windows_of_one_class_are_refused() -> None:
    with pytest.raises(UserError, match=r"user/depth10-trees10/trial-2 .*eMBB") as caught:
        metrics.from_decisions(decisions("user", 2, [0, 0], [0, 0], (0, 1, 2, 3, 3)))
    assert "runs.duration_s" in caught.value.remedy


def test_a_run_that_decided_nothing_is_refused() -> None:
    nothing = decisions("kernel", 1, [], [], (0, 0, 1, 2, 3))
    with pytest.raises(UserError, match="kernel/depth10-trees10/trial-1 classified nothing"):
        metrics.from_runs(nothing, samples("kernel", 1, []), losses(("kernel", 1, 5, 0)))


def test_runs_give_cpu_context_switches_and_losses() -> None:
    seconds = [
        *(("mpstat", "cpu-all", usr, np.nan) for usr in (4.0, 8.0)),
        *(("mpstat", f"cpu-{cpu}", 50.0, np.nan) for cpu in range(2)),
        *(("procstat", "cpu-all", 90.0, switches) for switches in (1000.0, 2000.0, 6000.0)),
        ("pidstat", "classifier", 1.0, 70.0),
        ("pidstat", "nginx", 1.0, 9000.0),
    ]
    found = metrics.from_runs(
        decisions("user", 1, [0, 1], [0, 1], (0, 1, 2, 3, 3)),
        pd.concat([samples("user", 1, seconds), samples("none", 1, seconds[:4])], ignore_index=True),
        losses(("user", 1, 99, 1), ("none", 1, 0, 0)),
    )
    tables.METRICS.validate(found)
    assert value(found, "user", "cpu_usr_mean") == 6
    assert value(found, "user", "cpu_total_mean") == 9
    assert value(found, "user", "cpus") == 2
    assert value(found, "user", "context_switches_mean") == 3000
    assert value(found, "user", "context_switches_max") == 6000
    assert value(found, "user", "classifier_context_switches_mean") == 70
    assert value(found, "user", "events_lost_share") == 1
    assert value(found, "none", "cpu_usr_mean") == 6
    assert metrics.by_trial(found, "none", "events_lost_share").empty
    assert metrics.by_trial(found, "none", "accuracy").empty


def test_scores_become_metrics_of_no_trial() -> None:
    split = {"accuracy": 0.99, "balanced_accuracy": 0.9, "majority_accuracy": 0.8}
    found = metrics.from_scores({"random": split, "grouped": {**split, "accuracy": 0.95}}, POINT)
    assert value(found, "sklearn", "accuracy_random", trial=0) == pytest.approx(99)
    assert value(found, "sklearn", "accuracy_grouped", trial=0) == pytest.approx(95)


def test_a_difference_is_as_uncertain_as_both_sides() -> None:
    got = metrics.difference(metrics.Estimate(99.6, 99.3, 99.8, 0), metrics.Estimate(99.9, 99.5, 100.0, 3))
    assert got.value == pytest.approx(-0.3)
    assert got.low == pytest.approx(-0.3 - math.hypot(0.3, 0.1))
    assert got.high == pytest.approx(-0.3 + math.hypot(0.2, 0.4))
    assert got.trials == 3
    one_trial = metrics.Estimate(99.9, None, None, 1)
    assert metrics.difference(metrics.Estimate(99.6, 99.3, 99.8, 0), one_trial).low is None


def test_the_mean_over_trials_has_students_interval() -> None:
    values = pd.Series([10.0, 12.0, 17.0], index=[1, 2, 3])
    got = metrics.mean_over_trials(values)
    low, high = stats.t.interval(0.95, df=2, loc=13, scale=stats.sem(values))
    assert (got.value, got.trials) == (13, 3)
    assert (got.low, got.high) == (pytest.approx(low), pytest.approx(high))


def test_an_interval_is_cut_to_what_is_possible() -> None:
    got = metrics.mean_over_trials(pd.Series([99.0, 100.0]), within=(0, 100))
    assert (got.low, got.high) == (pytest.approx(99.5 - 12.706 * 0.5, abs=0.01), 100)


def test_equal_trials_have_an_interval_of_no_width() -> None:
    assert metrics.mean_over_trials(pd.Series([3.0, 3.0, 3.0])) == metrics.Estimate(3, 3, 3, 3)


def test_one_trial_has_no_interval() -> None:
    assert metrics.mean_over_trials(pd.Series([3.0])) == metrics.Estimate(3, None, None, 1)
    assert metrics.ratio_over_trials(pd.Series([8.0]), pd.Series([2.0])) == metrics.Estimate(4, None, None, 1)


def test_the_ratio_is_taken_within_each_trial() -> None:
    got = metrics.ratio_over_trials(pd.Series([10.0, 40.0], index=[1, 2]), pd.Series([2.0, 1.0], index=[2, 1]))
    assert got.value == pytest.approx(np.sqrt(10 * 20))
    assert got.low is not None and got.high is not None
    assert got.low * got.high == pytest.approx(got.value**2)  # the interval is symmetric on the logarithm


def test_a_trial_without_partner_does_not_count() -> None:
    user, kernel = pd.Series([10.0, 20.0], index=[1, 2]), pd.Series([4.0], index=[2])
    assert metrics.mean_over_trials(user - kernel) == metrics.Estimate(16, None, None, 1)


def test_a_missing_arm_names_the_key() -> None:
    with pytest.raises(UserError, match="kernel") as caught:
        metrics.require_arms(losses(("user", 1, 5, 0)), metrics.CLASSIFYING_ARMS)
    assert "runs.arms" in caught.value.remedy
