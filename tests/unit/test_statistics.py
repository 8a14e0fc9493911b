"""statistics: estimates over trials, and how sure they are."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from upfml.base import statistics


def test_a_difference_is_as_uncertain_as_both_sides() -> None:
    got = statistics.difference(statistics.Estimate(99.6, 99.3, 99.8, 0), statistics.Estimate(99.9, 99.5, 100.0, 3))
    assert got.value == pytest.approx(-0.3)
    assert got.low == pytest.approx(-0.3 - math.hypot(0.3, 0.1))
    assert got.high == pytest.approx(-0.3 + math.hypot(0.2, 0.4))
    assert got.trials == 3
    one_trial = statistics.Estimate(99.9, None, None, 1)
    assert statistics.difference(statistics.Estimate(99.6, 99.3, 99.8, 0), one_trial).low is None


def test_the_mean_over_trials_has_students_interval() -> None:
    values = pd.Series([10.0, 12.0, 17.0], index=[1, 2, 3])
    got = statistics.mean_over_trials(values)
    low, high = stats.t.interval(0.95, df=2, loc=13, scale=stats.sem(values))
    assert (got.value, got.trials) == (13, 3)
    assert (got.low, got.high) == (pytest.approx(low), pytest.approx(high))


def test_with_more_trials_it_is_a_bootstrap() -> None:
    values = pd.Series(np.random.default_rng(1).lognormal(0, 1, 20))
    got = statistics.mean_over_trials(values)
    half = stats.t.ppf(0.975, 19) * stats.sem(values)
    assert got.low is not None and got.high is not None
    assert got.low < got.value < got.high
    assert got.high - got.value > got.value - got.low  # it knows that the values are skewed, which t does not
    assert (got.high - got.low) == pytest.approx(2 * half, rel=0.4)
    assert statistics.mean_over_trials(values) == got  # the same at each call


def test_an_interval_is_cut_to_what_is_possible() -> None:
    got = statistics.mean_over_trials(pd.Series([99.0, 100.0]), within=(0, 100))
    assert (got.low, got.high) == (pytest.approx(99.5 - 12.706 * 0.5, abs=0.01), 100)


def test_equal_trials_have_an_interval_of_no_width() -> None:
    assert statistics.mean_over_trials(pd.Series([3.0, 3.0, 3.0])) == statistics.Estimate(3, 3, 3, 3)


def test_one_trial_has_no_interval() -> None:
    assert statistics.mean_over_trials(pd.Series([3.0])) == statistics.Estimate(3, None, None, 1)
    assert statistics.ratio_over_trials(pd.Series([8.0]), pd.Series([2.0])) == statistics.Estimate(4, None, None, 1)


def test_the_ratio_is_taken_within_each_trial() -> None:
    got = statistics.ratio_over_trials(pd.Series([10.0, 40.0], index=[1, 2]), pd.Series([2.0, 1.0], index=[2, 1]))
    assert got.value == pytest.approx(np.sqrt(10 * 20))
    assert got.low is not None and got.high is not None
    assert got.low * got.high == pytest.approx(got.value**2)  # the interval is symmetric on the logarithm


def test_a_trial_without_partner_does_not_count() -> None:
    user, kernel = pd.Series([10.0, 20.0], index=[1, 2]), pd.Series([4.0], index=[2])
    assert statistics.mean_over_trials(user - kernel) == statistics.Estimate(16, None, None, 1)


def test_the_effect_size_is_in_standard_deviations_and_smaller_of_few() -> None:
    found = statistics.effect_size(pd.Series([1.0, 2.0, 3.0]))
    assert found == pytest.approx(2 * (1 - 3 / 7))
    assert statistics.effect_size(pd.Series([1.0])) is None
    assert statistics.effect_size(pd.Series([1.0, 1.0])) is None


def test_p_is_the_share_of_swaps_that_differ_as_much() -> None:
    assert statistics.permutation_p(pd.Series([1.0, 1.0, 1.0, 1.0])) == pytest.approx(2 / 2**4)
    assert statistics.permutation_p(pd.Series([1.0])) is None
