"""The baselines: what they are fitted on, and what they say of any table with the features."""

from pathlib import Path

import numpy as np
import pandas as pd

from upfml.base import tables
from upfml.base.classes import EMBB, URLLC
from upfml.model import baselines
from upfml.model.baselines import Baselines
from upfml.model.kinds import untrained
from upfml.model.train import score


def windows(rows: int = 300) -> pd.DataFrame:
    """URLLC twice as often as eMBB; only iat_var tells them apart, up to one window in ten."""
    random = np.random.default_rng(1)
    label = np.arange(rows) % 3 // 2
    frame = pd.DataFrame({name: random.integers(0, 1000, rows) for name in tables.FEATURES})
    seen = np.where(random.random(rows) < 0.1, 1 - label, label)
    frame["iat_var"] = 1000 * seen + random.integers(0, 900, rows)
    sides = np.where(np.arange(rows) < 200, "train", "test")
    return frame.assign(label=label.astype("int8"), split_random=sides, split_grouped=sides)


def test_the_best_feature_and_threshold_are_found() -> None:
    fitted = Baselines.fit(windows(), "split_random")
    assert (fitted.larger, fitted.feature, fitted.below, fitted.above) == (URLLC, "iat_var", 0, 1)
    assert 900 <= fitted.threshold <= 1000
    assert "URLLC where iat_var <= " in fitted.in_words()


def test_the_other_side_of_the_split_does_not_count() -> None:
    turned = windows()
    test = turned["split_random"] == "test"
    turned.loc[test, "label"] = 1 - turned.loc[test, "label"]
    assert Baselines.fit(turned, "split_random") == Baselines.fit(windows(), "split_random")


def test_decisions_are_classified_by_the_columns_of_the_features() -> None:
    fitted = Baselines(URLLC, "prev_iat_mean", 500.0, EMBB, URLLC)
    decisions = tables.empty(tables.DECISIONS).reindex(range(3)).assign(prev_iat_mean=[499, 500, 501])
    assert fitted.one_threshold(decisions).tolist() == [EMBB, EMBB, URLLC]
    assert fitted.majority(decisions).tolist() == [URLLC] * 3


def test_features_that_tell_nothing_leave_the_majority() -> None:
    same = windows()
    same[tables.FEATURES] = 7
    fitted = Baselines.fit(same, "split_random")
    assert (fitted.one_threshold(same) == URLLC).all()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    by_split = {split: Baselines.fit(windows(), f"split_{split}") for split in baselines.SPLITS}
    baselines.write(by_split, tmp_path / "baselines.json")
    assert baselines.read(tmp_path / "baselines.json") == by_split


def test_they_stand_beside_the_forests_scores() -> None:
    rows = windows()
    train = rows[rows["split_random"] == "train"]
    forest = untrained("random_forest", max_depth=3, n_estimators=3, min_samples_leaf=1, seed=0)
    forest.fit(train[tables.FEATURES].to_numpy(), train["label"].to_numpy())
    found = score(forest, Baselines.fit(rows, "split_random"), rows, "split_random")
    test = rows[rows["split_random"] == "test"]
    assert found["majority_accuracy"] == (test["label"] == URLLC).mean()
    assert found["majority_balanced_accuracy"] == 0.5
    by_hand = ((test["iat_var"] >= 1000) == test["label"]).mean()
    assert found["one_threshold_accuracy"] == by_hand > 0.85
    assert found["one_threshold_balanced_accuracy"] > 0.85
