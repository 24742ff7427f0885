"""How the values of a dimension compare, and what the study cannot tell apart."""

import json
import math
import statistics
from dataclasses import dataclass

from recalib_keras.tuning.dimensions import label
from recalib_keras.tuning.reporting.intervals import interval, paired, pairs_of, together, unpaired
from recalib_keras.tuning.trials import COMPLETED, Trial

SEED_BY_SEED, MIX_BY_MIX, BETWEEN_TRIALS = "seed by seed", "mix by mix", "between trials"
ABSENT = "—"  # the dimension takes no part, such as the positions of no blocks


@dataclass(frozen=True)
class Difference:
    """How far a value's mean score is from the baseline's.

    Args:
        mean: NaN if another dimension tells it.
        interval: of it, pair of numbers; NaN if it cannot be told.
        how: in which way it was taken, one of the constants above.
        pairs: how many scores of the one and of the other were set against each other; 0 between trials.
        elsewhere: name of the dimension whose own values tell it: of the two values, one leaves it out.
    """

    mean: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    how: str = ""
    pairs: int = 0
    elsewhere: str = ""

    @property
    def verdict(self) -> str:
        """`"higher"`, `"lower"` or `"not told apart"`; empty where there is no interval."""
        low, high = self.interval
        if math.isnan(low):
            return ""
        return "higher" if low > 0 else "lower" if high < 0 else "not told apart"


@dataclass(frozen=True)
class Level:
    """One value of a dimension, over all trials that have it.

    Args:
        value: as text; `"—"` if the dimension takes no part.
        scores: of the trials, or of the trainings of the only one.
        interval: of their mean, pair of numbers; NaN for a single score.
        parameters: numbers of weights of the trials' networks, each once, the smallest first.
        difference: `Difference` from the baseline; None for the baseline itself.
    """

    value: str
    scores: list[float]
    interval: tuple[float, float]
    parameters: tuple[int, ...] = ()
    difference: Difference | None = None

    @property
    def mean(self):
        """Of the scores."""
        return statistics.fmean(self.scores)

    @property
    def is_baseline(self):
        """Whether the others are compared with it."""
        return self.difference is None


@dataclass(frozen=True)
class Comparison:
    """The values of one dimension.

    Args:
        name: of the dimension.
        by_seed: whether the scores are of single trainings, since each value has one trial.
        is_baseline_named: whether the study names the baseline; else it is the value with the highest mean.
        levels: list of `Level`, in the order of the study.
        unscored: dict from values without a comparable trial to the lists of their `Trial`.
    """

    name: str
    by_seed: bool
    is_baseline_named: bool
    levels: list[Level]
    unscored: dict[str, list[Trial]]

    @property
    def others(self):
        """The levels that are compared with the baseline."""
        return [level for level in self.levels if not level.is_baseline]

    @property
    def is_elsewhere(self):
        """Whether other dimensions tell all of its differences."""
        return bool(self.others) and all(level.difference.elsewhere for level in self.others)


def compare(results, dimension):
    """Returns the `Comparison` of a dimension's values among the comparable trials.

    Intervals of means are Student's at 95 %. Those of differences hold for all values of the dimension together
    (Bonferroni): for all pairs of them if the baseline is the best of the data, and no value that the study names.
    Two values with one trial each, alike in all else, are compared seed by seed; where several of their trials are
    alike in all else, mix by mix; else all trials of the one with those of the other (Welch). In a grid, a value
    that leaves another dimension out, alone of all, is compared there with each value of that dimension.

    Args:
        results: `Results`.
        dimension: `Dimension` with options.
    """
    groups = _groups(results.comparable, dimension)
    unscored = {value: trials for value, trials in _options(results.trials, dimension).items() if not groups.get(value)}
    by_seed = len(results.plan.seeds) > 1 and all(len(trials) == 1 for trials in groups.values())
    baseline, is_named = _baseline(results.plan.study, dimension.name, groups)
    confidence = together(len(groups) - 1 if is_named else pairs_of(len(groups)))
    levels = []
    for value, trials in groups.items():
        scores = [*trials[0].scores.values()] if by_seed else [trial.score for trial in trials]
        parameters = tuple(sorted({trial.parameters for trial in trials} - {None}))
        pair = (value, trials), (baseline, groups[baseline])
        difference = None if value == baseline else _difference(results, dimension, pair, confidence)
        levels.append(Level(value, scores, interval(scores), parameters, difference))
    return Comparison(dimension.name, by_seed, is_named, levels, unscored)


def rivals(results):
    """Returns the trials that the one with the highest mean cannot be told apart from, the best first.

    It is compared seed by seed with each trial that was trained as long; the intervals hold at 95 % for all pairs of
    these trials together, since the data pick the best one.

    Args:
        results: `Results` with a completed trial.
    """
    best = results.best
    peers = [trial for trial in results.trials if trial.status == COMPLETED and trial.epochs == best.epochs]
    confidence = together(pairs_of(len(peers)))
    beaten = [trial for trial in peers if Difference(*_by_seed(best, trial, confidence)).verdict == "higher"]
    return sorted((t for t in peers if t is not best and t not in beaten), key=lambda trial: -trial.score)


def _difference(results, dimension, pair, confidence):
    """Returns the `Difference` of two values, pairs of a text and its trials."""
    (value, trials), (other_value, others) = pair
    elsewhere, plan = _elsewhere(results, dimension.name, trials, others), results.plan
    if elsewhere:
        return Difference(elsewhere=elsewhere)
    names = {other.name for other in plan.space.dimensions} - {dimension.name}
    if ABSENT in (value, other_value):
        names -= gates(plan.space, dimension)
        names = {name for name in names if all(name in trial.values for trial in [*trials, *others])}
    own_by_mix, other_by_mix = _by_mix(trials, names), _by_mix(others, names)
    alike = [(trial, other_by_mix[mix]) for mix, trial in own_by_mix.items() if mix in other_by_mix]
    if alike and len(trials) == len(others) == 1 and len(plan.seeds) > 1:
        return Difference(*_by_seed(*alike[0], confidence), SEED_BY_SEED, len(plan.seeds))
    if len(alike) > 1:
        pairs = [(trial.score, other.score) for trial, other in alike]
        return Difference(*paired(pairs, confidence), MIX_BY_MIX, len(pairs))
    found = unpaired([trial.score for trial in trials], [trial.score for trial in others], confidence)
    return Difference(*found, BETWEEN_TRIALS)


def gates(space, dimension):
    """Returns the names of the dimensions that decide whether one takes part, a set.

    Args:
        space: `Space`.
        dimension: `Dimension` of it.
    """
    cases = [
        {condition["config"]["name"]: condition["config"]["values"] for condition in item["config"]["conditions"]}
        for item in space.config()["space"]
        if item["config"]["name"].split(" (")[0] == dimension.name
    ]
    found = set()
    for parent in (parent for parent in space.dimensions if parent.options):
        covered = {text for case in cases for text in case.get(parent.name, parent.labels)}
        if not covered.issuperset(parent.labels):
            found.add(parent.name)
    return found


def _elsewhere(results, name, *groups):
    """Returns the dimension that one of two values decides to leave out, and no other value does, in a grid."""
    if results.plan.study.algorithm != "grid":
        return ""
    for dimension in (dimension for dimension in results.plan.space.dimensions if dimension.options):
        without = [trial for trial in results.comparable if dimension.name not in trial.values]
        if without in groups and name in gates(results.plan.space, dimension):
            return dimension.name
    return ""


def _by_seed(trial, other, confidence):
    return paired([(score, other.scores[seed]) for seed, score in trial.scores.items()], confidence)


def _by_mix(trials, names):
    """Returns the trials by their values of some dimensions, as text; without those that share a mix."""
    mixes = {}
    for trial in trials:
        mix = json.dumps({name: trial.values[name] for name in names & trial.values.keys()}, sort_keys=True)
        mixes.setdefault(mix, []).append(trial)
    return {mix: found[0] for mix, found in mixes.items() if len(found) == 1}


def _options(trials, dimension):
    """Returns all trials by the value, as text, that they have; all options of the dimension are there."""
    options = {text: [] for text in map(label, dimension.options)}
    for trial in trials:
        text = label(trial.values[dimension.name]) if dimension.name in trial.values else ABSENT
        options.setdefault(text, []).append(trial)
    return options


def _groups(trials, dimension):
    """Returns the trials by the value that they have, without the options that no trial has."""
    return {text: found for text, found in _options(trials, dimension).items() if found}


def _baseline(study, name, groups):
    """Returns the value that the others are compared with, and whether the study names it."""
    chosen = label(study.baseline[name]) if name in study.baseline else None
    if chosen in groups:
        return chosen, True
    best = max(groups, key=lambda value: statistics.fmean(trial.score for trial in groups[value]), default=None)
    return best, False
