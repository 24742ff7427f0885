"""How much each dimension of a study matters for the score, by a random forest."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recalib_keras.tuning.scikit_learn import check_scikit_learn
from recalib_keras.tuning.space.dimensions import label

if TYPE_CHECKING:
    from recalib_keras.tuning.reporting.results import Results

FEWEST_TRIALS = 10
FOLDS, ROUNDS, SHUFFLES, TREES = 5, 3, 10, 100


@dataclass(frozen=True)
class Importance:
    """What a random forest learns about the scores of trials that it has not seen.

    Args:
        by_dimension: Dict from names to pairs: the growth of the forest's error (mean absolute, in units of the score)
            when the values of the dimension are shuffled, and its standard deviation over the folds.
        error: Mean absolute error on trials that the forest has not seen.
        plain_error: The same error when the mean score of all other trials is the prediction. If the forest is not
            better, its importances mean nothing.
    """

    by_dimension: dict[str, tuple[float, float]]
    error: float
    plain_error: float

    @property
    def is_meaningful(self) -> bool:
        """Whether the forest predicts better than the mean."""
        return self.error < self.plain_error


def importance(results: Results) -> Importance | None:
    """Returns the permutation importance of each dimension, or None if there are too few trials.

    A random forest is fitted on four fifths of the completed trials and judged on the last fifth, in turn and three
    times over.

    Args:
        results: The results of the study.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    check_scikit_learn("the importance of dimensions")
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import RepeatedKFold

    trials = results.comparable
    dimensions = results.plan.space.dimensions
    if len(trials) < FEWEST_TRIALS or not dimensions:
        return None
    values = np.array([_column(trials, dimension) for dimension in dimensions], dtype=object).T
    scores = np.array([trial.score for trial in trials])
    found, errors, plain_errors = [], [], []
    for known, unseen in RepeatedKFold(n_splits=FOLDS, n_repeats=ROUNDS, random_state=0).split(values):
        forest = _forest(dimensions).fit(values[known], scores[known])
        errors.append(np.abs(forest.predict(values[unseen]) - scores[unseen]).mean())
        plain_errors.append(np.abs(scores[known].mean() - scores[unseen]).mean())
        shuffled = permutation_importance(
            forest,
            values[unseen],
            scores[unseen],
            scoring="neg_mean_absolute_error",
            n_repeats=SHUFFLES,
            random_state=0,
        )
        found.append(shuffled.importances_mean)
    means, deviations = np.mean(found, axis=0), np.std(found, axis=0)
    by_dimension = {d.name: (float(m), float(s)) for d, m, s in zip(dimensions, means, deviations)}
    return Importance(by_dimension, float(np.mean(errors)), float(np.mean(plain_errors)))


def _forest(dimensions):
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    named = [index for index, dimension in enumerate(dimensions) if not _is_number(dimension)]
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), named), remainder="passthrough")
    return make_pipeline(encoder, RandomForestRegressor(TREES, random_state=0))


def _column(trials, dimension):
    """Returns the values of a dimension as the forest takes them.

    Where the dimension takes no part it has its most frequent value. Another dimension decides that it takes no part,
    and the forest must give the importance to that one.
    """
    values = [_value(trial.values[dimension.name], dimension) for trial in trials if dimension.name in trial.values]
    absent = statistics.mode(values) if values else 0
    present = iter(values)
    return [next(present) if dimension.name in trial.values else absent for trial in trials]


def _value(value, dimension):
    if not _is_number(dimension):
        return label(value)
    return math.log(value) if dimension.range is not None and dimension.range.scale == "log" else value


def _is_number(dimension):
    return dimension.options is None or all(
        isinstance(option, (int, float)) and not isinstance(option, bool) for option in dimension.options
    )
