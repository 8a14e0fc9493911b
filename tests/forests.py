"""Forests for tests: trained on noise, so that trees are full and no two leaves agree by chance of clean data."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import RandomForestClassifier


def noisy_forest(*, trees: int, depth: int, rows: int = 3_000, seed: int = 0) -> RandomForestClassifier:
    """A forest on features of the size that windows have (means up to 50 ms in us, variances to match)."""
    random = np.random.default_rng(seed)
    means, variances = random.integers(0, 50_000, (rows, 2)), random.integers(0, 10**9, (rows, 2))
    features = np.column_stack([means[:, 0], variances[:, 0], means[:, 1], variances[:, 1]])
    forest = RandomForestClassifier(n_estimators=trees, max_depth=depth, min_samples_leaf=5, random_state=seed)
    return forest.fit(features, random.integers(0, 2, rows))
