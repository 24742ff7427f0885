"""keras-tuner's search algorithms, made to draw only what is possible, and nothing twice."""

import contextlib
import functools
import itertools
import warnings

import keras_tuner
from keras_tuner import oracles
from keras_tuner.engine.trial import TrialStatus

OBJECTIVE = "dice"  # what the algorithms call the score, whichever it is
# Draws in vain after which all that is possible counts as tried.
DRAWS = 2000
# Random mixes among which the Bayesian search falls back on the most promising.
CANDIDATES = 128


def make_oracle(study, space, epochs):
    """Returns the `keras_tuner.Oracle` of a study.

    Args:
        study: `recalib_keras.tuning.Study`.
        space: `recalib_keras.tuning.Space`.
        epochs: of a training that runs to its end.

    Raises:
        ImportError: if the Bayesian search lacks scikit-learn.
        ValueError: if the grid search meets a range without steps.
    """
    hyperparameters = keras_tuner.HyperParameters()
    space.declare(hyperparameters)
    settings = {"space": space, "hyperparameters": hyperparameters, "seed": study.seed + 1}  # 0 would be any seed
    if study.algorithm == "hyperband":
        oracle = Hyperband(max_epochs=epochs, factor=study.factor, **settings)
    elif study.algorithm == "bayesian":
        _check_scikit_learn()
        dimensions, trials = len(hyperparameters.space), study.most_trials
        oracle = Bayesian(num_initial_points=max(3, min(3 * dimensions, trials // 3)), **settings)
    elif study.algorithm == "grid":
        oracle = Grid(**settings)
    else:
        oracle = Random(**settings)
    oracle.max_trials = study.most_trials
    oracle.verbose = 0
    return oracle


class _Possible:
    """What all our oracles share; a class to mix into one of keras-tuner's.

    keras-tuner writes its state file by file, and not atomically: here the oracle writes nothing, and the chief keeps
    its state. It also ends a search from within a lock, which then stays locked; the chief counts failures itself.

    Args:
        space: `recalib_keras.tuning.Space`.
    """

    def __init__(self, space, **kwargs):
        self.recipes = space
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "max"), max_consecutive_failed_trials=None, **kwargs
        )

    def is_possible(self, values):
        """Returns whether keras-tuner's values make a recipe that can be."""
        return self.recipes.problem(self.recipes.values(values)) is None

    def number_of_trials(self):
        """Returns how many trials there will be at most, or None if that is not known."""
        return self.max_trials

    def get_state(self):
        """As `keras_tuner.Oracle` has it, with what was tried in order: the same state makes the same file."""
        state = super().get_state()
        return {**state, "tried_so_far": sorted(state["tried_so_far"])}

    def create_trial(self, tuner_id):
        """As `keras_tuner.Oracle` has it."""
        with _undeprecated():
            return super().create_trial(tuner_id)

    def update_trial(self, trial_id, metrics, step=0):
        """As `keras_tuner.Oracle` has it."""
        with _undeprecated():
            return super().update_trial(trial_id, metrics, step)

    def end_trial(self, trial):
        """As `keras_tuner.Oracle` has it."""
        with _undeprecated():
            return super().end_trial(trial)

    def save(self):
        """Does nothing: the chief saves."""

    def _save_trial(self, trial):
        pass

    def _random_values(self):
        for _ in range(DRAWS):
            values = {}
            for hyperparameter in self.hyperparameters.space:
                if all(condition.is_active(values) for condition in hyperparameter.conditions):
                    values[hyperparameter.name] = hyperparameter.random_sample(self._seed_state)
                    self._seed_state += 1
            if self.is_possible(values) and not self._duplicate(values):
                return values
        return None


class Random(_Possible, oracles.RandomSearchOracle):
    """Draws at random."""


class Grid(_Possible, keras_tuner.Oracle):
    """Takes all mixes in turn.

    keras-tuner's own grid oracle forgets where it was when it is saved and loaded; this one only needs to know what
    has been tried.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        for hyperparameter in self.hyperparameters.space:
            if isinstance(getattr(hyperparameter, "min_value", 0), float):
                raise ValueError(
                    f"a grid needs steps: give {hyperparameter.name} a `step`, or list its values, or choose another "
                    "algorithm"
                )

    def populate_space(self, trial_id):
        """Returns the next mix, as `keras_tuner.Oracle` has it."""
        for values in self._mixes({}, self.hyperparameters.space):
            if not self._duplicate(values) and self.is_possible(values):
                return {"status": TrialStatus.RUNNING, "values": values}
        return {"status": TrialStatus.STOPPED}

    def number_of_trials(self):
        """Returns how many possible mixes there are, or how many of them are asked for."""
        return self._count

    @functools.cached_property
    def _count(self):
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
        for value in _all_values(first):
            yield from self._mixes({**values, first.name: value}, rest)


class Bayesian(_Possible, oracles.BayesianOptimizationOracle):
    """Draws where a Gaussian process promises most.

    In a space of lists the most promising point is often one that was tried, or cannot be: then the most promising of
    some random mixes that are new and possible is taken.
    """

    def populate_space(self, trial_id):
        """Returns the next mix, as `keras_tuner.Oracle` has it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn, on kernels that fit few trials badly
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
        """Returns a mix as the Gaussian process sees it; what takes no part has its default there."""
        return [hp.value_to_prob(values.get(hp.name, hp.default)) for hp in self._nonfixed_space()]


class Hyperband(_Possible, oracles.HyperbandOracle):
    """Trains many a little, and the best of them longer.

    Reference: Li et al., "Hyperband", JMLR 2018.
    """

    def number_of_trials(self):
        """Returns how many trials all rounds have together."""
        brackets = range(self._get_num_brackets())
        count = sum(self._get_size(bracket, turn) for bracket in brackets for turn in range(bracket + 1))
        return min(count, self.max_trials or count)


@contextlib.contextmanager
def _undeprecated():
    """keras-tuner 1.4.8 asks for the current thread in a way that Python has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(currentThread|getName)", DeprecationWarning)
        yield


def _all_values(hyperparameter):
    if getattr(hyperparameter, "step", 1) is None:  # integers without a step
        return range(hyperparameter.min_value, hyperparameter.max_value + 1)
    return hyperparameter.values


def _check_scikit_learn():
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'the Bayesian search needs scikit-learn, which is not installed; run: pip install "recalib-keras[tune]"'
        ) from error
