import math

import pytest
from scipy import stats

from recalib_keras.tuning.reporting.intervals import interval, paired, pairs_of, together, unpaired


def test_interval():
    """Against scipy's own, and by hand: mean 2, standard error 1/√3, t(0.975, 2) = 4.3027."""
    low, high = interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))
    values = [0.81, 0.83, 0.80, 0.86]
    assert interval(values) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(0.95))
    assert all(map(math.isnan, interval([0.5])))


def test_paired():
    own, others = [0.81, 0.83, 0.80, 0.86], [0.80, 0.80, 0.81, 0.82]
    difference, bounds = paired(zip(own, others), 0.9)
    assert difference == pytest.approx(0.0175)
    assert bounds == pytest.approx(stats.ttest_rel(own, others).confidence_interval(0.9))


def test_unpaired():
    own, others = [0.81, 0.83, 0.80, 0.86], [0.80, 0.70]
    difference, bounds = unpaired(own, others)
    assert difference == pytest.approx(0.075)
    assert bounds == pytest.approx(stats.ttest_ind(own, others, equal_var=False).confidence_interval(0.95))
    assert unpaired([0.5, 0.5], [0.25, 0.25]) == (0.25, (0.25, 0.25))
    assert all(map(math.isnan, unpaired([0.5], [0.25, 0.3])[1]))


def test_bonferroni():
    assert [together(count) for count in (0, 1, 5)] == pytest.approx([0.95, 0.95, 0.99])
    assert [pairs_of(count) for count in (0, 1, 2, 7)] == [0, 0, 1, 21]
