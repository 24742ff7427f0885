import numpy as np

from recalib_keras.reports.outliers import LIMIT, robust_z


def test_scores_of_normal_values_are_those_of_a_normal_distribution():
    values = np.random.default_rng(0).normal(5, 2, (20000, 1))
    assert abs(robust_z(values).std() - 1) < 0.03


def test_each_column_is_scored_by_itself():
    values = np.array([*range(11)], float)[:, None] * [1, 10] + [0, 500]
    scores = robust_z(values)
    np.testing.assert_allclose(scores[:, 0], scores[:, 1])
    # The median is 5 and the median distance 3.
    np.testing.assert_allclose(scores[:, 0], 0.6745 * (np.arange(11) - 5) / 3)


def test_outliers_do_not_hide_each_other():
    values = np.array([*np.linspace(9, 11, 12), 50, 60, 70])[:, None]
    assert (robust_z(values)[-3:] > LIMIT).all() and (np.abs(robust_z(values)[:-3]) < LIMIT).all()


def test_too_few_scans_have_no_score():
    assert np.isnan(robust_z(np.arange(9.0)[:, None])).all()
    assert np.isfinite(robust_z(np.arange(10.0)[:, None])).all()


def test_equal_volumes_have_no_score():
    assert np.isnan(robust_z(np.array([*[1.0] * 8, 2, 3])[:, None])).all()


def test_unknown_volumes_are_left_out():
    values = np.array([*range(11), np.nan], float)[:, None]
    scores = robust_z(values)
    assert np.isnan(scores[-1, 0]) and np.isfinite(scores[:-1]).all()
