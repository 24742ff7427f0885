import math

import numpy as np
import pytest
from scipy import stats
from studies_made_up import made_up

from recalib_keras.tuning.comparison import BETWEEN_TRIALS, MIX_BY_MIX, SEED_BY_SEED, compare, interval


def comparison_of(results, name):
    return compare(results, next(d for d in results.plan.space.dimensions if d.name == name))


def test_interval():
    """Against scipy's own, and by hand: mean 2, standard error 1/√3, t(0.975, 2) = 4.3027."""
    low, high = interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))
    values = [0.81, 0.83, 0.80, 0.86]
    assert interval(values) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(0.95))
    assert all(map(math.isnan, interval([0.5])))


def test_one_trial_each_is_compared_seed_by_seed(make_study, tmp_path):
    study = make_study({"learning_rate": [0.01, 0.02, 0.03]}, baseline={"learning_rate": 0.02}, seeds=[1, 2, 3])
    scores = {0.01: (0.80, 0.82, 0.84), 0.02: (0.81, 0.84, 0.85), 0.03: (0.70, 0.73, 0.74)}
    rows = [({"learning_rate": rate}, dict(zip((1, 2, 3), values))) for rate, values in scores.items()]
    comparison = comparison_of(made_up(study, tmp_path, rows), "learning_rate")
    assert comparison.by_seed and [level.value for level in comparison.levels] == ["0.01", "0.02", "0.03"]
    first, baseline, last = comparison.levels
    assert baseline.is_baseline and math.isnan(baseline.difference) and baseline.verdict == ""
    assert first.scores == [0.80, 0.82, 0.84] and first.mean == pytest.approx(0.82)
    assert first.interval == pytest.approx(interval([0.80, 0.82, 0.84]))
    differences = np.subtract(scores[0.01], scores[0.02])
    assert (first.difference, first.how) == (pytest.approx(differences.mean()), SEED_BY_SEED)
    bounds = stats.ttest_1samp(differences, 0).confidence_interval(1 - 0.05 / 2)  # two comparisons
    assert first.difference_interval == pytest.approx(bounds)
    assert (first.verdict, last.verdict) == ("not told apart", "lower")


def test_trials_that_differ_in_nothing_else_are_compared_mix_by_mix(make_study, tmp_path):
    study = make_study({"learning_rate": [0.01, 0.02], "filters": [2, 4, 8]}, seeds=[1])
    rows = [
        ({"filters": filters, "learning_rate": rate}, {1: filters / 10 + rate + noise})
        for filters, noise in ((2, 0.0), (4, 0.0002), (8, -0.0002))
        for rate in (0.01, 0.02)
    ]
    comparison = comparison_of(made_up(study, tmp_path, rows), "learning_rate")
    low, best = comparison.levels
    assert best.is_baseline and not comparison.by_seed
    assert (low.how, low.difference, low.verdict) == (MIX_BY_MIX, pytest.approx(-0.01), "lower")
    assert low.interval[1] > best.interval[0]  # the means alone would tell nothing


def test_other_trials_are_compared_by_welchs_interval(make_study, tmp_path):
    study = make_study({"filters": [2, 4], "learning_rate": {"min": 0.01, "max": 0.1}}, baseline={"filters": 2})
    groups = {2: (0.5, 0.6, 0.55), 4: (0.7, 0.9)}
    rows = [
        ({"filters": filters, "learning_rate": 0.01 * (1 + len(str(score)) + filters + 7 * score)}, {3: score})
        for filters, scores in groups.items()
        for score in scores
    ]
    _, level = comparison_of(made_up(study, tmp_path, rows), "filters").levels
    bounds = stats.ttest_ind(groups[4], groups[2], equal_var=False).confidence_interval(0.95)
    assert level.how == BETWEEN_TRIALS
    assert level.difference_interval == pytest.approx(bounds)


def test_a_single_score_has_no_interval_and_no_verdict(make_study, tmp_path):
    study = make_study({"filters": [2, 4]}, seeds=[1])
    results = made_up(study, tmp_path, [({"filters": 2}, {1: 0.5}), ({"filters": 4}, {1: 0.6})])
    first, second = comparison_of(results, "filters").levels
    assert second.is_baseline  # the best, since the study names none
    assert math.isnan(first.interval[0]) and first.verdict == "" and first.difference == pytest.approx(-0.1)


def test_trials_without_the_dimension_are_a_level_of_their_own(make_study, tmp_path):
    study = make_study({"recalibration": ["none", "scse"], "positions": ["P1", "P5"]}, seeds=[1, 2])
    rows = [
        ({"recalibration": "none"}, {1: 0.5, 2: 0.6}),
        ({"recalibration": "scse", "positions": "P1"}, {1: 0.6, 2: 0.7}),
        ({"recalibration": "scse", "positions": "P5"}, {1: 0.7, 2: 0.8}),
    ]
    comparison = comparison_of(made_up(study, tmp_path, rows), "positions")
    assert [(level.value, level.how) for level in comparison.levels] == [
        ("P1", SEED_BY_SEED),
        ("P5", ""),
        ("—", SEED_BY_SEED),
    ]


def test_only_complete_trials_that_were_trained_longest_count(make_study, tmp_path):
    study = make_study({"filters": [2, 4]}, seeds=[1])
    rows = [({"filters": 2}, {1: 0.9}), ({"filters": 4}, {1: 0.5}), ({"filters": 4}, ("failed", "no"))]
    results = made_up(study, tmp_path, rows)
    results.trials[0].epochs = 1
    (level,) = comparison_of(results, "filters").levels
    assert (level.value, level.is_baseline) == ("4", True)
    assert comparison_of(made_up(study, tmp_path, rows[2:]), "filters").levels == []
