"""keras-tuner's search algorithms, changed to draw only what is possible, and nothing twice."""

from __future__ import annotations

import functools
import itertools
import warnings
from typing import Any

import keras_tuner
from keras_tuner import oracles
from keras_tuner.engine.trial import TrialStatus

from recalib_keras.core.errors import RecordError
from recalib_keras.tuning.algorithms.hyperband import Hyperband
from recalib_keras.tuning.scikit_learn import check_scikit_learn
from recalib_keras.tuning.space.mixes import Possible, all_values, count_mixes
from recalib_keras.tuning.space.space import Space
from recalib_keras.tuning.study import Study

# Random mixes among which the Bayesian search chooses where its best point is impossible or already tried.
CANDIDATES = 128
LARGEST_GRID = 100_000  # trials
MOST_COUNTED = 10_000  # mixes that are counted one by one, less the impossible ones; more are computed


def make_oracle(study: Study, space: Space, epochs: int) -> keras_tuner.Oracle:
    """Returns the `keras_tuner.Oracle` of a study.

    Args:
        study: The study.
        space: Its space.
        epochs: Epochs of a training that runs to its end.

    Raises:
        ImportError: The Bayesian search needs scikit-learn, which is not installed.
        RecordError: The space of a grid search has a range without steps, or too many mixes.
    """
    hyperparameters = keras_tuner.HyperParameters()
    space.declare(hyperparameters)
    # The seed 0 would mean a random one.
    settings = {"space": space, "hyperparameters": hyperparameters, "seed": study.seed + 1}
    if study.algorithm == "hyperband":
        oracle = Hyperband(max_epochs=epochs, factor=study.factor, **settings)
    elif study.algorithm == "bayesian":
        check_scikit_learn("the Bayesian search")
        dimensions, trials = len(hyperparameters.space), study.most_trials
        oracle = Bayesian(num_initial_points=max(3, min(3 * dimensions, trials // 3)), **settings)
    elif study.algorithm == "grid":
        oracle = Grid(most_trials=study.most_trials, **settings)
    else:
        oracle = Random(**settings)
    oracle.max_trials = study.most_trials
    oracle.verbose = 0
    return oracle


class Random(Possible, oracles.RandomSearchOracle):
    """Draws at random."""


class Grid(Possible, keras_tuner.Oracle):
    """Takes all mixes in turn.

    keras-tuner's own grid oracle forgets its place when it is saved and loaded. This one only needs to know what has
    been tried.

    Args:
        most_trials: Largest number of trials, or None for all mixes.
        kwargs: See `Possible`.

    Raises:
        RecordError: A range has no steps, or there are too many mixes.
    """

    def __init__(self, most_trials: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        for hyperparameter in self.hyperparameters.space:
            if isinstance(getattr(hyperparameter, "min_value", 0), float):
                raise RecordError(
                    expected="a grid of single values",
                    received=f"the range {hyperparameter.name}",
                    remedy="give it a `step`, list its values, or choose another algorithm",
                )
        size = count_mixes(self.hyperparameters.space)
        if min(size, most_trials or size) > LARGEST_GRID:
            raise RecordError(
                expected=f"a grid of at most {LARGEST_GRID} mixes",
                received=f"one of {size}",
                remedy="give fewer values or larger steps, limit `trials`, or choose another algorithm",
            )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the next mix; see `keras_tuner.Oracle`.

        Args:
            trial_id: Id that the trial will have.
        """
        for values in self._mixes({}, self.hyperparameters.space):
            if not self._duplicate(values) and self.is_possible(values):
                return {"status": TrialStatus.RUNNING, "values": values}
        return {"status": TrialStatus.STOPPED}

    def number_of_trials(self) -> int:
        """Returns how many possible mixes there are, or how many of them the study asks for.

        Of a large space, the impossible mixes count too.
        """
        return self._count

    @functools.cached_property
    def _count(self):
        size = count_mixes(self.hyperparameters.space)
        if size > MOST_COUNTED:
            return min(size, self.max_trials or size)
        possible = filter(self.is_possible, self._mixes({}, self.hyperparameters.space))
        return sum(1 for _ in itertools.islice(possible, self.max_trials))

    def _mixes(self, values, space):
        if not space:
            yield values
            return
        first, *rest = space
        if not all(condition.is_active(values) for condition in first.conditions):
            yield from self._mixes(values, rest)
            return
        for value in all_values(first):
            yield from self._mixes({**values, first.name: value}, rest)


class Bayesian(Possible, oracles.BayesianOptimizationOracle):
    """Draws where a Gaussian process promises the highest score.

    In a space of lists the most promising point is often impossible, or was tried before. Then the search takes the
    most promising of some random mixes that are new and possible.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the next mix; see `keras_tuner.Oracle`.

        Args:
            trial_id: Id that the trial will have.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of kernels that fit few trials badly
            response = super().populate_space(trial_id)
            values = response["values"]
            if values is None or (self.is_possible(values) and not self._duplicate(values)):
                return response
            values = self._most_promising()
        return {"status": TrialStatus.STOPPED if values is None else TrialStatus.RUNNING, "values": values}

    def _most_promising(self):
        candidates = [*itertools.takewhile(lambda values: values is not None, self._draws())]
        if not candidates:
            return None
        means, deviations = self.gpr.predict([self._point(values) for values in candidates], return_std=True)
        return candidates[(means - self.beta * deviations).argmin()]

    def _draws(self):
        return (self._random_values() for _ in range(CANDIDATES))

    def _point(self, values):
        """Returns a mix as the Gaussian process sees it; dimensions that take no part have their default there."""
        return [hp.value_to_prob(values.get(hp.name, hp.default)) for hp in self._nonfixed_space()]
