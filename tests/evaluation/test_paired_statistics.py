import itertools
import math

import numpy as np
import pytest
from scipy import stats

from recalib_keras.evaluation.paired_statistics import (
    bootstrap_interval,
    holm,
    rank_biserial_correlation,
    signed_rank_test,
)


def signed_rank_sums(differences):
    ranks = stats.rankdata(np.abs(differences))
    return ranks[differences > 0].sum(), ranks[differences < 0].sum()


def enumerated_p(differences):
    """The share of all ways to set the signs whose smaller rank sum is as small as the one seen."""
    seen = min(signed_rank_sums(differences))
    signs = itertools.product([-1, 1], repeat=len(differences))
    sums = [min(signed_rank_sums(np.array(one) * np.abs(differences))) for one in signs]
    return np.mean(np.array(sums) <= seen + 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_p_equals_enumeration(seed):
    differences = np.random.default_rng(seed).normal(0.4, 1, 9)
    statistic, p, remark = signed_rank_test(differences)
    assert statistic == min(signed_rank_sums(differences))
    assert p == pytest.approx(enumerated_p(differences))
    assert remark == ""


def test_textbook_example():
    # All of six differences of one sign: 2 of the 2⁶ ways to set the signs are as extreme.
    statistic, p, _ = signed_rank_test(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    assert (statistic, p) == (0, pytest.approx(2 / 64))


def test_p_of_many_pairs():
    rng = np.random.default_rng(0)
    assert signed_rank_test(rng.normal(0.5, 1, 200))[1] < 1e-6
    assert signed_rank_test(rng.normal(0.0, 1, 200))[1] > 0.05


def test_zero_differences_are_dropped():
    differences = np.array([0.1, -0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert signed_rank_test(np.append(differences, [0.0, 0.0])) == signed_rank_test(differences)


def test_all_zero_differences_are_no_difference():
    assert signed_rank_test(np.zeros(8)) == (0, 1, "all differences are zero")


def test_too_few_pairs_are_not_tested():
    for differences, remark in (
        (np.array([0.1, 0.2, 0.3, 0.4, 0.5]), "no test: 5 pairs, fewer than 6"),
        (np.array([]), "no test: 0 pairs, fewer than 6"),
        (np.array([0.0, 0, 0, 0.1, 0.2, 0.3, 0.4]), "no test: 4 differences other than zero, fewer than 6"),
    ):
        statistic, p, found = signed_rank_test(differences)
        assert math.isnan(statistic) and math.isnan(p) and found == remark


def test_rounding_errors_are_ties():
    dice = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    noisy = (dice + 0.1) - 0.1
    assert (noisy != dice).any()
    assert signed_rank_test(noisy - dice)[2] == "all differences are zero"
    assert rank_biserial_correlation(noisy - dice) == 0


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1, 2, 3], 1),
        ([-1, -2, -3], -1),
        ([1, -2, 3], (4 - 2) / 6),
        ([2, -2, 4], (1.5 + 3 - 1.5) / 6),  # ties share the mean of their ranks
        ([0, 0, 1], 1),
        ([0, 0], 0),
        ([], 0),
    ],
)
def test_rank_biserial_correlation(differences, expected):
    assert rank_biserial_correlation(np.array(differences, float)) == pytest.approx(expected)


def test_effect_and_test_use_the_same_sums():
    differences = np.random.default_rng(3).normal(0.3, 1, 30)
    total = 30 * 31 / 2
    assert abs(rank_biserial_correlation(differences)) == pytest.approx(
        1 - 2 * signed_rank_test(differences)[0] / total
    )


def test_interval_is_that_of_resampled_statistics():
    differences = np.random.default_rng(0).normal(1, 2, 40)
    low, high = bootstrap_interval(differences, np.mean)
    drawn = np.random.default_rng(99).choice(differences, (20000, 40)).mean(axis=1)
    np.testing.assert_allclose([low, high], np.percentile(drawn, [2.5, 97.5]), atol=0.03)
    # Of a mean it is close to the one that normal theory gives.
    half = 1.96 * differences.std(ddof=1) / math.sqrt(40)
    np.testing.assert_allclose([low, high], differences.mean() + np.array([-half, half]), atol=0.08)


def test_interval_is_the_same_for_the_same_seed():
    differences = np.random.default_rng(0).normal(size=20)
    assert bootstrap_interval(differences, np.median) == bootstrap_interval(differences, np.median)
    assert bootstrap_interval(differences, np.mean, seed=1) != bootstrap_interval(differences, np.mean, seed=2)


def test_interval_widens_with_confidence():
    differences = np.random.default_rng(0).normal(size=20)
    narrow, wide = (bootstrap_interval(differences, np.mean, confidence) for confidence in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_interval_of_equal_differences_and_of_one():
    assert bootstrap_interval(np.full(5, 0.25), np.mean) == (0.25, 0.25)
    assert all(math.isnan(end) for end in bootstrap_interval(np.array([1.0]), np.mean))


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.02, 0.03], [0.03, 0.04, 0.04]),
        ([0.03, 0.01, 0.02], [0.04, 0.03, 0.04]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.04], [0.04]),
        ([0.04, math.nan, 0.01], [0.04, math.nan, 0.02]),
        ([math.nan], [math.nan]),
        ([], []),
    ],
)
def test_holm(p_values, expected):
    np.testing.assert_allclose(holm(p_values), expected)


def test_holm_equals_its_procedure():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = rng.uniform(0, 0.1, 8)
        rejected = set()
        for step, index in enumerate(np.argsort(p_values)):  # as Holm states it, one hypothesis after the other
            if p_values[index] > 0.05 / (8 - step):
                break
            rejected.add(int(index))
        assert {index for index, p in enumerate(holm(p_values)) if p <= 0.05} == rejected
