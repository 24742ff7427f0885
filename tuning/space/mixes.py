"""Mixes of values: draws only possible ones that are new, and computes how many there are."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras_tuner

from recalib_keras.tuning.space.space import Space

if TYPE_CHECKING:
    from keras_tuner import Oracle as _Oracle
else:
    _Oracle = object

OBJECTIVE = "dice"  # what the algorithms call the score, whatever it is
# After this many draws without a new mix, everything possible counts as tried.
DRAWS = 2000


class Possible(_Oracle):
    """What all oracles of this package share; a class to mix into one of keras-tuner's.

    keras-tuner writes its state in several files, and not atomically. Here the oracle writes nothing: the ledger keeps
    its state. keras-tuner also ends a search inside a lock, which then stays locked; the search counts failures itself.

    Args:
        space: The space to draw from.
        kwargs: See `keras_tuner.Oracle`.
    """

    def __init__(self, space: Space, **kwargs: Any):
        self.recipes = space
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "max"), max_consecutive_failed_trials=None, **kwargs
        )

    def is_possible(self, values: Mapping[str, Any]) -> bool:
        """Returns whether keras-tuner's values make a recipe that can be built.

        Args:
            values: Dict from keras-tuner's names to its values.
        """
        return self.recipes.problem(self.recipes.values(values)) is None

    def number_of_trials(self) -> int | None:
        """Returns the largest number of trials that there will be, or None if it is not known."""
        return self.max_trials

    def get_state(self) -> dict[str, Any]:
        """Returns keras-tuner's state, with the tried mixes in order: the same state makes the same file."""
        state = super().get_state()
        return {**state, "tried_so_far": sorted(state["tried_so_far"])}

    def create_trial(self, tuner_id: str) -> keras_tuner.engine.trial.Trial:
        """Returns a new trial; see `keras_tuner.Oracle`.

        Args:
            tuner_id: Name of the worker.
        """
        with _undeprecated():
            return super().create_trial(tuner_id)

    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Any:
        """Notes the score of a trial; see `keras_tuner.Oracle`.

        Args:
            trial_id: Id of the trial.
            metrics: Dict from names to scores.
            step: Epoch of the scores.
        """
        with _undeprecated():
            return super().update_trial(trial_id, metrics, step)

    def end_trial(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Ends a trial; see `keras_tuner.Oracle`.

        Args:
            trial: keras-tuner's trial.
        """
        with _undeprecated():
            return super().end_trial(trial)

    def save(self) -> None:
        """Does nothing: the ledger saves."""

    def _save_trial(self, trial):
        pass

    def _random_values(self):
        for _ in range(DRAWS):
            values = {}
            for hyperparameter in self.hyperparameters.space:
                if all(condition.is_active(values) for condition in hyperparameter.conditions):
                    values[hyperparameter.name] = hyperparameter.random_sample(self._seed_state)
                    self._seed_state += 1
            if not self._duplicate(values) and self.is_possible(values):
                return values
        return None


def count_mixes(hyperparameters: Sequence[Any]) -> int | float:
    """Returns how many mixes the conditions of a space allow, computed without listing them.

    Args:
        hyperparameters: keras-tuner's hyperparameters; those that others depend on come first.

    Returns:
        The number; infinity for a range without steps. It includes mixes that are impossible for another reason.
    """
    parents = {condition.name for hyperparameter in hyperparameters for condition in hyperparameter.conditions}

    def count(place, values):
        if place == len(hyperparameters):
            return 1
        first = hyperparameters[place]
        if not all(condition.is_active(values) for condition in first.conditions):
            return count(place + 1, values)
        if first.name in parents:
            return sum(count(place + 1, {**values, first.name: value}) for value in all_values(first))
        return _number_of_values(first) * count(place + 1, values)

    return count(0, {})


def _number_of_values(hyperparameter):
    if isinstance(getattr(hyperparameter, "min_value", 0), float):
        return math.inf
    values = all_values(hyperparameter)
    return len(values) if hasattr(values, "__len__") else sum(1 for _ in values)


def all_values(hyperparameter: Any) -> Sequence[Any] | Iterator[Any]:
    """Returns the values of a hyperparameter, one by one; a range of integers is not listed.

    Args:
        hyperparameter: One of keras-tuner's, but no range of floats.
    """
    step = getattr(hyperparameter, "step", None)
    if not hasattr(hyperparameter, "min_value") or (hyperparameter.sampling == "log" and step is not None):
        return hyperparameter.values
    return range(hyperparameter.min_value, hyperparameter.max_value + 1, step or 1)


@contextlib.contextmanager
def _undeprecated():
    """keras-tuner 1.4.8 asks for the current thread in a way that Python has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(currentThread|getName)", DeprecationWarning)
        yield
