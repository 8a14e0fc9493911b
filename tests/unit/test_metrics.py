"""metrics: from tables to numbers, and intervals over the trials."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from upfml.arms import Arms
from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.model.baselines import Baselines
from upfml.report import metrics

EVERY = Arms.of("every")


def decisions(arm: str, trial: int, labels: list[int], predicted: list[int], stamps: tuple[int, ...]) -> pd.DataFrame:
    """Decisions of one run, all with the same time stamps relative to the packet's arrival."""
    names = ["t_packet_ns", "t_start_ns", "t_features_ns", "t_label_ns", "t_delivered_ns"]  # t_sent_ns: = t_start_ns
    frame = pd.DataFrame({"label": labels, "predicted": predicted, "repeats": 0})
    for name, stamp in zip(names, stamps, strict=True):
        frame[name] = 10**12 + stamp
    return frame.assign(t_sent_ns=frame["t_start_ns"], arm=arm, trial=trial)


def samples(arm: str, trial: int, seconds: list[tuple[str, str, float, float]]) -> pd.DataFrame:
    """(source, entity, usr_pct, context_switches_per_s) of each reading; sys and soft are 1 % and 2 %."""
    rows = [
        (arm, trial, source, 0, entity, usr, 1.0, 2.0, 0.0, usr + 4, usr + 3, switches)
        for source, entity, usr, switches in seconds
    ]
    return pd.DataFrame(rows, columns=[*metrics.RUN, *tables.SAMPLES.columns])


def turns(*rows: tuple[str, int, int, int]) -> pd.DataFrame:
    """(arm, trial, received, lost) of each turn, of 2 s, 1,000 packets, 5 us of program and 1 ms of process.

    CPUs are idle for 90 %, with forwarding alone for 92 %.
    """
    frame = pd.DataFrame(rows, columns=["arm", "trial", "received", "lost"])
    same = {name: 0 for name in tables.TURNS.columns if name not in frame} | {"start_ns": 0, "end_ns": 2 * 10**9}
    same |= {
        "n3_packets": 1000,
        "run_time_ns": 10**7,
        "run_cnt": 2000,
        "agent_cpu_ns": 10**6,
        "noise": "",
        "xdp_mode": "native",
        "upf_cpus": 2,
        "upf_idle_ns": int(0.9 * 2 * 2e9),
    }
    frame = frame.assign(**same)
    frame.loc[frame["arm"] == "none", "upf_idle_ns"] = int(0.92 * 2 * 2e9)
    frame.loc[frame["arm"] == "none", ["run_time_ns", "run_cnt", "agent_cpu_ns"]] = 0
    frame.loc[frame["arm"] == "none", "xdp_mode"] = ""
    return tables.typed(frame, tables.TURNS)


def value(frame: pd.DataFrame, arm: str, metric: str, trial: int = 1) -> float:
    return float(metrics.by_trial(frame, EVERY[arm], metric)[trial])


def test_gather_reads_files_of_several_batches(tmp_path: Path) -> None:
    for batch in (1, 2):
        files.write(turns(("user", batch, 5, 0)), tmp_path / f"batch-{batch}.parquet", tables.TURNS)
    gathered = metrics.gather(sorted(tmp_path.iterdir()), tables.TURNS)
    assert gathered[metrics.RUN].to_numpy().tolist() == [["user", 1], ["user", 2]]


def test_decisions_that_were_not_sent_count_as_the_one_before_them() -> None:
    frame = decisions("kernel", 1, [0, 0, 1], [0, 1, 1], (0, 1, 2, 3, 4)).assign(repeats=[5, 0, 2])
    assert metrics.confusion(frame).tolist() == [[6, 1], [0, 3]]


def test_losses_are_pooled() -> None:
    assert metrics.loss_pct(turns(("kernel", 1, 95, 0), ("kernel", 2, 90, 10))) == pytest.approx(100 * 10 / 195)


def test_no_event_sent_is_no_loss_rate() -> None:
    assert metrics.loss_pct(turns(("none", 1, 0, 0))) is None


def test_confusion_has_true_classes_in_rows_and_leaves_out_flows_of_nobody() -> None:
    frame = decisions("kernel", 1, [0, 0, 0, 1, -1], [0, 0, 1, 1, 1], (0, 0, 1, 2, 3))
    assert metrics.confusion(frame).tolist() == [[2, 1], [0, 1]]


def test_decisions_give_accuracies_counts_and_times() -> None:
    found = metrics.from_decisions(
        EVERY, decisions("user", 1, [0, 0, 0, 1, -1], [0, 0, 1, 1, 0], (0, 100, 130, 180, 180))
    )
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


@pytest.mark.parametrize(
    ("arm", "delivered", "parts"),
    [
        ("native", 180, {"parse": 60, "delivery": 40, "features": 30, "inference": 50}),
        ("kernel-packet-perf", 999, {"parse": 100, "features": 30, "inference": 50, "delivery": 819}),
    ],
)
def test_parts_add_up_to_the_way_to_user_space(arm: str, delivered: int, parts: dict[str, int]) -> None:
    frame = decisions(arm, 1, [0, 1], [0, 1], (0, 100, 130, 180, delivered)).assign(t_sent_ns=10**12 + 60)
    found = metrics.from_decisions(EVERY, frame)
    assert {part: value(found, arm, f"part_{part}_mean") for part in metrics.parts(EVERY[arm])} == parts
    assert sum(parts.values()) == value(found, arm, "arrival_to_user_space_mean")


def test_median_and_p99_of_a_time() -> None:
    frame = decisions("kernel", 1, [0, 1] * 50, [0, 1] * 50, (0, 0, 0, 0, 0))
    frame["t_label_ns"] += np.arange(1, 101)
    frame["t_delivered_ns"] += 1000
    found = metrics.from_decisions(EVERY, frame)
    assert value(found, "kernel", "inference_median") == 50.5
    assert value(found, "kernel", "inference_p99") == pytest.approx(99.01)
    assert value(found, "kernel", "inference_p99.9") == pytest.approx(99.901)


def test_steps_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(UserError, match="t_label_ns before t_features_ns"):
        metrics.latency_ns(decisions("kernel", 1, [0], [0], (0, 0, 9, 8, 10)), "inference")


def test_an_arm_that_saw_one_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"arm user .*eMBB") as caught:
        metrics.from_decisions(EVERY, decisions("user", 2, [0, 0], [0, 0], (0, 1, 2, 3, 3)))
    assert "runs.turn_s" in caught.value.remedy


def test_a_turn_that_saw_one_class_has_no_balanced_accuracy() -> None:
    both = decisions("user", 1, [0, 1], [0, 1], (0, 1, 2, 3, 3))
    one = decisions("user", 2, [0, 0], [0, 1], (0, 1, 2, 3, 3))
    found = metrics.from_decisions(EVERY, pd.concat([both, one], ignore_index=True))
    assert metrics.by_trial(found, EVERY["user"], "accuracy").to_dict() == {1: 100, 2: 50}
    assert metrics.by_trial(found, EVERY["user"], "balanced_accuracy").to_dict() == {1: 100}


def test_a_turn_that_decided_nothing_is_refused() -> None:
    nothing = decisions("kernel", 1, [], [], (0, 0, 1, 2, 3))
    with pytest.raises(UserError, match="arm kernel classified nothing in trial 1"):
        metrics.from_runs(EVERY, nothing, samples("kernel", 1, []), turns(("kernel", 1, 5, 0)))


def seconds(usr: float) -> list[tuple[str, str, float, float]]:
    return [
        *(("mpstat", "upf", usr + more, np.nan) for more in (-2.0, 2.0)),
        *(("mpstat", f"cpu-{cpu}", 50.0, np.nan) for cpu in range(2)),
        *(("sched_switch", "upf", np.nan, switches) for switches in (1000.0, 2000.0, 6000.0)),
        ("pidstat", "classifier", 1.0, 9000.0),
        ("sched_switch", "classifier", np.nan, 70.0),
        ("sched_switch", "nginx", np.nan, 9000.0),
    ]


@pytest.fixture
def measured() -> pd.DataFrame:
    return metrics.from_runs(
        EVERY,
        decisions("user", 1, [0, 1], [0, 1], (0, 1, 2, 3, 3)),
        pd.concat([samples("user", 1, seconds(6)), samples("none", 1, seconds(4)[:7])], ignore_index=True),
        turns(("user", 1, 99, 1), ("none", 1, 0, 0)),
    )


OFFLINE = ["accuracy", "balanced_accuracy", "majority_accuracy", "one_threshold_accuracy"]


def test_every_number_has_the_mode_of_its_turn(measured: pd.DataFrame) -> None:
    scores = {split: dict.fromkeys(OFFLINE, 1.0) for split in ("random", "grouped")}
    rows = pd.concat([measured, metrics.from_scores(scores)], ignore_index=True)
    of_turns = turns(("user", 1, 99, 1), ("none", 1, 0, 0), ("user", 2, 99, 1)).replace(
        {"xdp_mode": "native"}, "generic"
    )
    found = tables.METRICS.validate(metrics.with_modes(rows, of_turns))
    assert found[metrics.COLUMNS].equals(rows)
    assert found.groupby("arm")["xdp_mode"].unique().map(list).to_dict() == {
        "none": [""],
        "sklearn": [""],
        "user": ["generic"],
    }


def test_runs_give_cpu_context_switches_and_losses(measured: pd.DataFrame) -> None:
    assert value(measured, "user", "cpu_usr_mean") == 6
    assert value(measured, "user", "cpu_total_mean") == 9
    assert value(measured, "user", "cpu_busy_mean") == pytest.approx(10)
    assert value(measured, "user", "cpus") == 2
    assert value(measured, "user", "context_switches_mean") == 3000
    assert value(measured, "user", "context_switches_max") == 6000
    assert value(measured, "user", "classifier_context_switches_mean") == 70
    assert value(measured, "user", "events_lost_share") == 1
    assert value(measured, "none", "cpu_usr_mean") == 4
    assert metrics.by_trial(measured, EVERY["none"], "events_lost_share").empty
    assert metrics.by_trial(measured, EVERY["none"], "accuracy").empty


def test_exact_accounts_are_the_program_and_the_process(measured: pd.DataFrame) -> None:
    assert value(measured, "user", "program") == 5_000  # ns a packet
    assert value(measured, "user", "agent_cpu") == 1_000
    assert value(measured, "user", "packets") == 500  # a second
    assert value(measured, "user", "cpu_direct") == pytest.approx(100 * 6_000 * 500 / 1e9 / 2)
    assert value(measured, "none", "cpu_direct") == 0


def test_cost_over_forwarding_is_within_the_trial(measured: pd.DataFrame) -> None:
    spent_ns_per_s = (10 - 8) / 100 * 2 * 1e9
    assert value(measured, "user", "cpu_over_forwarding") == pytest.approx(spent_ns_per_s / 500)
    assert value(measured, "user", "cpu_over_forwarding_decision") == pytest.approx(spent_ns_per_s / (2 / 2))
    assert metrics.by_trial(measured, EVERY["none"], "cpu_over_forwarding").empty


def test_one_threshold_is_judged_on_what_the_arms_saw() -> None:
    stump = Baselines(larger=0, feature="iat_mean", threshold=100.0, below=0, above=1)
    frame = decisions("kernel", 1, [0, 0, 1, 1], [0, 0, 0, 0], (0, 1, 2, 3, 3)).assign(iat_mean=[50, 150, 200, 300])
    silent = frame.assign(arm="kernel-change")
    found = metrics.from_baselines(EVERY, pd.concat([frame, silent], ignore_index=True), stump)
    assert value(found, "kernel", "one_threshold_accuracy") == 75
    assert list(found["arm"]) == ["kernel"]


def test_scores_become_metrics_of_no_trial() -> None:
    split = {"accuracy": 0.99, "balanced_accuracy": 0.9, "majority_accuracy": 0.8, "one_threshold_accuracy": 0.85}
    found = metrics.from_scores({"random": split, "grouped": {**split, "accuracy": 0.95}})
    assert set(found["arm"]) == {"sklearn"} and set(found["trial"]) == {0}
    values = found.set_index("metric")["value"]
    assert (values["accuracy_random"], values["accuracy_grouped"]) == pytest.approx((99, 95))


def test_a_missing_arm_names_the_key() -> None:
    with pytest.raises(UserError, match="kernel") as caught:
        metrics.require_arms(turns(("user", 1, 5, 0)), Arms.of(["user", "kernel"]))
    assert "arms in config.yaml" in caught.value.remedy


def test_at_equal_traffic_what_players_and_packets_cost_is_gone() -> None:
    random, rows = np.random.default_rng(1), []
    for trial in range(1, 9):
        for arm, cost in (("none", 0.0), ("user", 9.0), ("kernel", 0.5)):
            usr, packets = random.normal(20, 8), random.normal(7000, 1000)
            busy = 10 + trial + cost + 1.1 * usr + 0.003 * packets
            values = {"cpu_busy_mean": busy, "context_switches_mean": 2 * packets + 10 * cost}
            values |= {"cpu_others_usr": usr, "packets": packets}
            rows += [(arm, trial, name, value, "x") for name, value in values.items()]
    found = metrics.at_equal_traffic(pd.DataFrame(rows, columns=metrics.COLUMNS))
    for metric, scale in (("cpu_busy_at_equal_traffic", 1), ("context_switches_at_equal_traffic", 10)):
        of = {arm: metrics.by_trial(found, EVERY[arm], metric) for arm in ("none", "user", "kernel")}
        assert (of["user"] - of["none"]).tolist() == pytest.approx([9.0 * scale] * 8)
        assert (of["kernel"] - of["none"]).tolist() == pytest.approx([0.5 * scale] * 8)


def test_few_turns_are_not_fitted(measured: pd.DataFrame) -> None:
    assert metrics.by_trial(measured, EVERY["user"], "cpu_busy_at_equal_traffic").empty
    assert value(measured, "user", "cpu_others_usr") == pytest.approx(6 - 1 / 2)
