"""Statistics of paired differences: signed-rank test, effect size, bootstrap interval, correction for many tests."""

from collections.abc import Callable, Sequence

import numpy as np

from recalib_keras.evaluation.measures import NAN

# Of five pairs the smallest two-sided p is 2 / 2⁵ = 0.0625, so no difference could be significant at 0.05.
FEWEST_PAIRS = 6
SEED, RESAMPLES, CONFIDENCE = 0, 9999, 0.95
DECIMALS = 9  # closer differences are ties, which rounding errors would break at random


def signed_rank_test(differences: np.ndarray) -> tuple[float, float, str]:
    """Returns statistic and two-sided p of Wilcoxon's signed-rank test, and why there is no test, if so.

    Zero differences are dropped, as Wilcoxon did. The p is exact for up to 50 differences without ties, and from the
    normal approximation otherwise.

    Args:
        differences: Float array.

    Returns:
        Statistic `min(R₊, R₋)`, p, and a remark: `""` if the test was made. If all differences are zero, p is 1. If
        fewer than 6 are not zero, the test could never reach 0.05, and both numbers are NaN.

    Reference:
        Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1945.
    """
    from scipy import stats  # here, because it takes longer to load than the rest of this package's evaluation

    differences = np.round(differences, DECIMALS)
    left = differences[differences != 0]
    if len(differences) < FEWEST_PAIRS:
        return NAN, NAN, f"no test: {len(differences)} pairs, fewer than {FEWEST_PAIRS}"
    if not len(left):
        return 0.0, 1.0, "all differences are zero"
    if len(left) < FEWEST_PAIRS:
        return NAN, NAN, f"no test: {len(left)} differences other than zero, fewer than {FEWEST_PAIRS}"
    test = stats.wilcoxon(left)
    return float(test.statistic), float(test.pvalue), ""


def rank_biserial_correlation(differences: np.ndarray) -> float:
    """Returns the matched-pairs rank-biserial correlation, `(R₊ - R₋) / (R₊ + R₋)`.

    `R₊` and `R₋` are the sums of the ranks of the positive and of the negative differences, ranked by size without
    zeros. It is 1 if all differences are positive, -1 if all are negative, 0 if they balance or there are none.

    Args:
        differences: Float array.

    Example:
        >>> rank_biserial_correlation(np.array([1.0, 2.0, -3.0, 4.0]))
        0.4

    Reference:
        Kerby, "The simple difference formula: an approach to teaching nonparametric correlation", Comprehensive
        Psychology 2014.
    """
    from scipy import stats

    differences = np.round(differences, DECIMALS)
    left = differences[differences != 0]
    ranks = stats.rankdata(np.abs(left))
    return float((ranks * np.sign(left)).sum() / ranks.sum()) if len(left) else 0.0


def bootstrap_interval(
    differences: np.ndarray,
    statistic: Callable[..., np.ndarray],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float]:
    """Returns the lower and the upper end of the percentile bootstrap interval of a statistic.

    Args:
        differences: Float array; for fewer than two both ends are NaN, and without resamples.
        statistic: Function with an argument `axis`, such as `numpy.mean` or `numpy.median`.
        confidence: Confidence of the interval, from 0 to 1.
        resamples: Number of samples drawn with replacement.
        seed: Seed of the drawing; the same seed gives the same interval.

    Reference:
        Efron, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 1979.
    """
    if len(differences) < 2 or not resamples:
        return NAN, NAN
    from scipy import stats

    interval = stats.bootstrap(
        (differences,),
        statistic,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number by Holm's step-down method.

    The `i`-th smallest of `m` values is multiplied by `m - i + 1`. None becomes less than the one before it, or more
    than 1. NaN means that no test was made: it stays NaN and is not counted.

    Args:
        p_values: The p-values.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    Reference:
        Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
    """
    values = np.asarray(p_values, dtype=float)
    made = np.flatnonzero(~np.isnan(values))
    order = made[np.argsort(values[made])]
    corrected = np.full(len(values), NAN)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)), 1)
    return corrected.tolist()
