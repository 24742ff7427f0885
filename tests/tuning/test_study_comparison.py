import math

import numpy as np
import pytest
from scipy import stats
from studies_made_up import made_up

from recalib_keras.tuning.reporting.comparison import BETWEEN_TRIALS, MIX_BY_MIX, SEED_BY_SEED, compare, gates, rivals
from recalib_keras.tuning.reporting.intervals import interval
from recalib_keras.tuning.trials.trial import Execution

SEEDS = (1, 2, 3)


def comparison_of(results, name):
    return compare(results, dimension_of(results, name))


def dimension_of(results, name):
    return next(dimension for dimension in results.plan.space.dimensions if dimension.name == name)


def by_seed(*scores):
    return dict(zip(SEEDS, scores))


@pytest.mark.parametrize(("baseline", "comparisons"), [({"learning_rate": 0.02}, 2), ({}, 3)])
def test_seed_by_seed(baseline, comparisons, make_study, tmp_path):
    """Corrected for the two others of a named baseline, and for all three pairs if the data choose it."""
    study = make_study({"learning_rate": [0.01, 0.02, 0.03]}, baseline=baseline, seeds=SEEDS)
    scores = {0.01: (0.80, 0.82, 0.84), 0.02: (0.81, 0.84, 0.85), 0.03: (0.70, 0.73, 0.74)}
    rows = [({"learning_rate": rate}, by_seed(*values)) for rate, values in scores.items()]
    comparison = comparison_of(made_up(study, tmp_path, rows), "learning_rate")
    assert comparison.by_seed and comparison.is_baseline_named == bool(baseline)
    assert [level.value for level in comparison.levels] == ["0.01", "0.02", "0.03"]
    first, middle, last = comparison.levels
    assert middle.is_baseline and comparison.others == [first, last]
    assert first.scores == [0.80, 0.82, 0.84] and first.mean == pytest.approx(0.82)
    assert first.interval == pytest.approx(interval([0.80, 0.82, 0.84]))
    differences = np.subtract(scores[0.01], scores[0.02])
    assert first.difference.mean == pytest.approx(differences.mean())
    assert (first.difference.how, first.difference.pairs) == (SEED_BY_SEED, 3)
    bounds = stats.ttest_1samp(differences, 0).confidence_interval(1 - 0.05 / comparisons)
    assert first.difference.interval == pytest.approx(bounds)
    assert (first.difference.verdict, last.difference.verdict) == ("not told apart", "lower")


@pytest.mark.parametrize("baseline", [{}, {"filters": 2}])
def test_false_positives(baseline, make_study, tmp_path):
    """A baseline that the data choose does so too: corrected as if named, it would be one in eleven."""
    options, seeds, noise = [2, 4, 8, 16, 32, 64, 128], [1, 2, 3, 4, 5], np.random.default_rng(0)
    study = make_study({"filters": options}, baseline=baseline, seeds=seeds, algorithm="grid")
    results = made_up(study, tmp_path, [({"filters": option}, dict.fromkeys(seeds, 0.0)) for option in options])
    wrong = 0
    for scores in noise.normal(0.8, 0.01, (500, len(options), len(seeds))):
        for trial, row in zip(results.trials, scores):
            trial.executions = tuple(Execution(seed, score, 1, 1) for seed, score in zip(seeds, row))
        others = comparison_of(results, "filters").others
        wrong += any(level.difference.verdict in ("higher", "lower") for level in others)
    assert 0 < wrong / 500 < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 500)


def test_no_verdict_where_other_values_differ(make_study, tmp_path):
    study = make_study({"recalibration": "scse", "aggregation": ["max", "add"], "reduction_ratio": [2, 4]}, seeds=SEEDS)
    rows = [
        ({"aggregation": "max", "reduction_ratio": 2}, by_seed(0.80, 0.81, 0.82)),
        ({"aggregation": "add", "reduction_ratio": 4}, by_seed(0.70, 0.71, 0.72)),
    ]
    comparison = comparison_of(made_up(study, tmp_path, rows), "aggregation")
    (level,) = comparison.others
    assert comparison.by_seed and level.difference.verdict == "" and level.difference.mean == pytest.approx(-0.1)
    rows[1][0]["reduction_ratio"] = 2
    (level,) = comparison_of(made_up(study, tmp_path, rows), "aggregation").others
    assert (level.difference.how, level.difference.verdict) == (SEED_BY_SEED, "lower")


def test_mix_by_mix(make_study, tmp_path):
    study = make_study({"learning_rate": [0.01, 0.02], "filters": [2, 4, 8]}, seeds=[1])
    rows = [
        ({"filters": filters, "learning_rate": rate}, {1: filters / 10 + rate + noise})
        for filters, noise in ((2, 0.0), (4, 0.0002), (8, -0.0002))
        for rate in (0.01, 0.02)
    ]
    comparison = comparison_of(made_up(study, tmp_path, rows), "learning_rate")
    low, best = comparison.levels
    assert best.is_baseline and not comparison.by_seed
    assert (low.difference.how, low.difference.pairs, low.difference.verdict) == (MIX_BY_MIX, 3, "lower")
    assert low.difference.mean == pytest.approx(-0.01)
    assert low.interval[1] > best.interval[0]  # the means alone would tell nothing


def test_between_trials(make_study, tmp_path):
    study = make_study({"filters": [2, 4], "learning_rate": {"min": 0.01, "max": 0.1}}, baseline={"filters": 2})
    groups = {2: (0.5, 0.6, 0.55), 4: (0.7, 0.9)}
    rows = [
        ({"filters": filters, "learning_rate": 0.01 * (1 + len(str(score)) + filters + 7 * score)}, {3: score})
        for filters, scores in groups.items()
        for score in scores
    ]
    _, level = comparison_of(made_up(study, tmp_path, rows), "filters").levels
    bounds = stats.ttest_ind(groups[4], groups[2], equal_var=False).confidence_interval(0.95)
    assert (level.difference.how, level.difference.pairs) == (BETWEEN_TRIALS, 0)
    assert level.difference.interval == pytest.approx(bounds)


def test_single_score(make_study, tmp_path):
    study = make_study({"filters": [2, 4]}, seeds=[1])
    results = made_up(study, tmp_path, [({"filters": 2}, {1: 0.5}), ({"filters": 4}, {1: 0.6})])
    first, second = comparison_of(results, "filters").levels
    assert second.is_baseline  # the best, since the study names none
    assert math.isnan(first.interval[0]) and first.difference.verdict == ""
    assert first.difference.mean == pytest.approx(-0.1)


@pytest.mark.parametrize(("filters", "how"), [(2, SEED_BY_SEED), (4, BETWEEN_TRIALS)])
def test_trials_without_the_dimension(filters, how, make_study, tmp_path):
    """The block that decides may differ, and nothing else."""
    space = {"recalibration": ["none", "scse"], "positions": ["P1", "P5"], "filters": [2, 4]}
    rows = [
        ({"recalibration": "none", "filters": filters}, by_seed(0.5, 0.6, 0.6)),
        ({"recalibration": "scse", "filters": 2, "positions": "P1"}, by_seed(0.6, 0.7, 0.6)),
        ({"recalibration": "scse", "filters": 2, "positions": "P5"}, by_seed(0.7, 0.8, 0.7)),
    ]
    comparison = comparison_of(made_up(make_study(space, seeds=SEEDS), tmp_path, rows), "positions")
    assert [(level.value, level.is_baseline) for level in comparison.levels] == [("P1", 0), ("P5", 1), ("—", 0)]
    assert [level.difference.how for level in comparison.others] == [SEED_BY_SEED, how]


def grid_of_blocks(make_study, folder, **keys):
    """Results of a grid in which a block stands in two places, or none does, each with two numbers of filters."""
    space = {"recalibration": ["none", "scse"], "positions": ["P1", "P5"], "filters": [2, 4]}
    rows = []
    for filters in space["filters"]:
        rows.append(({"recalibration": "none", "filters": filters}, {1: 0.5 + filters / 1000}))
        for place, gain in (("P1", 0.1), ("P5", 0.2)):
            values = {"recalibration": "scse", "filters": filters, "positions": place}
            rows.append((values, {1: 0.5 + gain + filters / 500}))
    return made_up(make_study(space, seeds=[1], **keys), folder, rows)


def test_grid_compares_place_by_place(make_study, tmp_path):
    """The places of a block are not a random sample of one, so that the block as such is not compared."""
    results = grid_of_blocks(make_study, tmp_path, algorithm="grid")
    comparison = comparison_of(results, "recalibration")
    (level,) = comparison.others
    assert comparison.is_elsewhere and level.difference.elsewhere == "positions"
    assert level.difference.verdict == "" and math.isnan(level.difference.mean)
    comparison = comparison_of(results, "positions")
    assert not comparison.is_elsewhere and comparison.levels[-1].value == "—"
    assert [level.difference.how for level in comparison.others] == [MIX_BY_MIX, MIX_BY_MIX]
    assert comparison.levels[-1].difference.pairs == 2


def test_grid_refers_to_rows_of_one_value(make_study, tmp_path):
    """Neither no block nor cSE takes an aggregation: that row of theirs is not of cSE alone."""
    space = {"recalibration": ["none", "cse", "scse"], "aggregation": ["max", "add"], "reduction_ratio": [2, 4]}
    rows = [({"recalibration": "none"}, {1: 0.5})]
    for ratio in (2, 4):
        rows.append(({"recalibration": "cse", "reduction_ratio": ratio}, {1: 0.6 + ratio / 100}))
        for gain, aggregation in enumerate(("max", "add")):
            values = {"recalibration": "scse", "reduction_ratio": ratio, "aggregation": aggregation}
            rows.append((values, {1: 0.7 + gain / 10 + ratio / 100}))
    study = make_study(space, seeds=[1], algorithm="grid")
    none, cse = comparison_of(made_up(study, tmp_path, rows), "recalibration").others
    assert none.difference.elsewhere == "reduction_ratio"
    assert (cse.difference.elsewhere, cse.difference.how) == ("", BETWEEN_TRIALS)


def test_random_search_compares_samples(make_study, tmp_path):
    comparison = comparison_of(grid_of_blocks(make_study, tmp_path), "recalibration")
    (level,) = comparison.others
    assert (level.difference.how, level.difference.elsewhere) == (BETWEEN_TRIALS, "")


def test_gates(make_study, tmp_path):
    space = {
        "recalibration": ["cse", "scse"],
        "aggregation": ["max", "add"],
        "reduction_ratio": [2, 4],
        "filters": [4, 8],
    }
    results = made_up(make_study(space), tmp_path, [])
    expected = {"recalibration": set(), "aggregation": {"recalibration"}, "reduction_ratio": set(), "filters": set()}
    found = {dimension.name: gates(results.plan.space, dimension) for dimension in results.plan.space.dimensions}
    assert found == expected


def test_compares_only_the_longest_trainings(make_study, tmp_path):
    study = make_study({"filters": [2, 4, 8]}, seeds=[1])
    rows = [({"filters": 2}, {1: 0.9}), ({"filters": 4}, {1: 0.5}), ({"filters": 4}, ("failed", "no"))]
    results = made_up(study, tmp_path, rows)
    results.trials[0].epochs = 1
    comparison = comparison_of(results, "filters")
    (level,) = comparison.levels
    assert (level.value, level.is_baseline, level.parameters) == ("4", True, (1234,))
    assert comparison.unscored == {"2": [results.trials[0]], "8": []}
    results = made_up(study, tmp_path, rows[2:])
    comparison = comparison_of(results, "filters")
    assert comparison.levels == [] and comparison.unscored == {"2": [], "4": results.trials, "8": []}


def test_rivals(make_study, tmp_path):
    study = make_study({"filters": [2, 4, 8]}, seeds=SEEDS)
    scores = {2: (0.80, 0.82, 0.84), 4: (0.81, 0.84, 0.85), 8: (0.70, 0.73, 0.74)}
    rows = [({"filters": filters}, by_seed(*values)) for filters, values in scores.items()]
    results = made_up(study, tmp_path, [*rows, ({"filters": 2}, ("failed", "no"))])
    assert rivals(results) == [results.trials[0]]
    results.trials[0].epochs = 1
    assert rivals(results) == []
    single = made_up(make_study({"filters": [2, 4]}, seeds=[1]), tmp_path, [({"filters": f}, {1: f}) for f in (2, 4)])
    assert rivals(single) == [single.trials[0]]
