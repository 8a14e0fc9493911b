"""Estimates over trials: means, differences and ratios with their 95 % intervals, effect sizes and p values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95
BOOTSTRAP_FROM = 8
"""Trials; of fewer a bootstrap knows little more than their range."""
_RESAMPLES = 9_999


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; `low` and `high` are None where one trial gives none.

    `trials` is 0 for what no trial measured (offline scores).
    """

    value: float
    low: float | None
    high: float | None
    trials: int


def mean_over_trials(values: pd.Series[float], within: tuple[float, float] = (-np.inf, np.inf)) -> Estimate:
    """Mean of one value per trial and its 95 % interval, cut to the values that are possible (`within`).

    The interval is a bootstrap over the trials, bias-corrected and accelerated (Efron 1987); of fewer trials than
    BOOTSTRAP_FROM it is Student's t. A difference of two arms is taken per trial first (`a - b`, matched by index): the
    arms of a trial had their turns side by side.
    """
    values = values.dropna()
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, None, None, len(values))
    if np.ptp(values) == 0:
        return Estimate(mean, mean, mean, len(values))
    if len(values) < BOOTSTRAP_FROM:
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values))
        low, high = mean - half, mean + half
    else:
        interval = stats.bootstrap(
            (values.to_numpy(),), np.mean, confidence_level=CONFIDENCE, n_resamples=_RESAMPLES, rng=0
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return Estimate(mean, max(low, within[0]), min(high, within[1]), len(values))


def difference(a: Estimate, b: Estimate) -> Estimate:
    """`a` minus `b`, measured independently, with the interval that both of theirs imply.

    Method: MOVER (Zou and Donner 2008, after Newcombe 1998): distances to the bounds are added in quadrature.
    """
    value = a.value - b.value
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Estimate(value, None, None, b.trials)
    below = float(np.hypot(a.value - a.low, b.high - b.value))
    above = float(np.hypot(a.high - a.value, b.value - b.low))
    return Estimate(value, value - below, value + above, b.trials)


def ratio_over_trials(numerator: pd.Series[float], denominator: pd.Series[float]) -> Estimate:
    """Geometric mean of the ratio per trial, and its interval on the logarithm. Both have one value > 0 per trial."""
    logarithm = mean_over_trials((numerator / denominator).map(np.log))
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (logarithm.low, logarithm.high))
    return Estimate(float(np.exp(logarithm.value)), low, high, logarithm.trials)


def effect_size(differences: pd.Series[float]) -> float | None:
    """Of paired differences, in standard deviations of them: d_z with Hedges' correction for few pairs.

    Lakens 2013, equations 6 and 4. None of fewer than two pairs, or where all differ alike.
    """
    if len(differences) < 2 or not differences.std():
        return None
    correction = 1 - 3 / (4 * (len(differences) - 1) - 1)
    return float(correction * differences.mean() / differences.std())


def permutation_p(differences: pd.Series[float]) -> float | None:
    """How often a difference as large would come of pairs swapped at random; None of fewer than two pairs."""
    if len(differences) < 2:
        return None
    test = stats.permutation_test(
        (differences.to_numpy(),), np.mean, permutation_type="samples", vectorized=True, n_resamples=_RESAMPLES, rng=0
    )
    return float(test.pvalue)
