"""One point of the sweep: the same windows through scikit-learn, the shared library and the kernel.

The point's in-kernel classifier replays the recorded training trace. Accuracy is that on the test windows of the random
split. A forest that the verifier refuses has a row, too.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml.base import files, tables
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import KernelRefused, Program
from upfml.classify.user import predictor
from upfml.model.baselines import Baselines
from upfml.model.kinds import TreeModel
from upfml.packets.features import Definition
from upfml.replay import feed


def measure(
    forest: TreeModel,
    baselines: Baselines,
    model: Path,
    packets: pd.DataFrame,
    windows: pd.DataFrame,
    definition: Definition,
    flow_table: FlowTable,
) -> dict[str, Any]:
    """A row of the sweep table, less the hyper-parameters.

    `model` is the folder written by convert.write, `baselines` are those of the random split.
    Inference time is from features ready to class known, in the kernel and around the ctypes call alike.
    """
    test = windows[windows["split_random"] == "test"]
    parts = files.read_json(model / "parts.json")
    row = {
        "nodes": parts["nodes"],
        "programs": len(parts["parts"]),
        "test_windows": len(test),
        "accuracy_sklearn": float(np.mean(forest.predict(test[tables.FEATURES].to_numpy()) == test["label"])),
        "accuracy_majority": float(np.mean(baselines.majority(test) == test["label"])),
        "accuracy_one_threshold": float(np.mean(baselines.one_threshold(test) == test["label"])),
        **_user(model, test),
    }
    try:
        decisions, programs, counters = feed.classify(packets, model, definition, "window", flow_table)
    except KernelRefused as refusal:
        return row | {"status": "refused", "refused_reason": refusal.cause} | _NO_KERNEL
    return row | {"status": "loaded", "refused_reason": ""} | _kernel(decisions, programs, counters, test)


_NO_KERNEL = dict.fromkeys(
    (
        "instructions",
        "verified_instructions",
        "jited_bytes",
        "accuracy_kernel",
        "inference_kernel_median_ns",
        "inference_kernel_p99_ns",
    ),
    float("nan"),
)


def _user(model: Path, test: pd.DataFrame) -> dict[str, float]:
    predict = predictor(model / "model.so")
    times, right = [], 0
    for *features, label in test[[*tables.FEATURES, "label"]].itertuples(index=False, name=None):
        start_ns = time.monotonic_ns()
        predicted = predict(features)
        times.append(time.monotonic_ns() - start_ns)
        right += predicted == label
    return {
        "accuracy_user": right / len(test),
        "inference_user_median_ns": float(np.median(times)),
        "inference_user_p99_ns": float(np.percentile(times, 99)),
    }


def _kernel(
    decisions: pd.DataFrame, programs: list[Program], counters: dict[str, int], test: pd.DataFrame
) -> dict[str, float]:
    if counters["event_lost"] or counters["inference_broken"] or len(decisions) != counters["event_sent"]:
        raise RuntimeError(f"the replay lost decisions: {len(decisions)} of {counters}")
    judged = test[["flow", "window", "label"]].merge(
        decisions[["flow", "window", "predicted"]], on=["flow", "window"], how="left", validate="one_to_one"
    )
    times = decisions["t_label_ns"] - decisions["t_features_ns"]
    return {
        "instructions": sum(program.instructions for program in programs),
        "verified_instructions": sum(program.verified_instructions for program in programs),
        "jited_bytes": sum(program.jited_bytes for program in programs),
        "accuracy_kernel": float(np.mean(judged["predicted"] == judged["label"])),
        "inference_kernel_median_ns": float(np.median(times)),
        "inference_kernel_p99_ns": float(np.percentile(times, 99)),
    }
