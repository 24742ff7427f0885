"""How the values of a dimension compare, and what the study cannot tell apart."""

import dataclasses
import json
import math
import statistics
from dataclasses import dataclass

from recalib_keras.tuning.dimensions import label

CONFIDENCE = 0.95
SEED_BY_SEED, MIX_BY_MIX, BETWEEN_TRIALS = "seed by seed", "mix by mix", "between trials"
ABSENT = "—"  # the dimension takes no part, such as the positions of no blocks


@dataclass(frozen=True)
class Level:
    """One value of a dimension, over all trials that have it.

    Args:
        value: as text; `"—"` if the dimension takes no part.
        scores: of the trials, or of the trainings of the only one.
        interval: of their mean, pair of numbers; NaN for a single score.
        difference: from the baseline's mean; NaN for the baseline itself.
        difference_interval: pair of numbers; NaN if it cannot be told.
        how: in which way the difference was taken, one of the constants below.
        is_baseline: whether the others are compared with it.
    """

    value: str
    scores: list[float]
    interval: tuple[float, float]
    difference: float = math.nan
    difference_interval: tuple[float, float] = (math.nan, math.nan)
    how: str = ""
    is_baseline: bool = False

    @property
    def mean(self):
        """Of the scores."""
        return statistics.fmean(self.scores)

    @property
    def verdict(self):
        """`"higher"`, `"lower"` or `"not told apart"`; empty for the baseline or where there is no interval."""
        low, high = self.difference_interval
        if math.isnan(low):
            return ""
        return "higher" if low > 0 else "lower" if high < 0 else "not told apart"


@dataclass(frozen=True)
class Comparison:
    """The values of one dimension.

    Args:
        name: of the dimension.
        by_seed: whether the scores are of single trainings, since each value has one trial.
        levels: list of `Level`, in the order of the study.
    """

    name: str
    by_seed: bool
    levels: list[Level]


def compare(results, dimension):
    """Returns the `Comparison` of a dimension's values among the comparable trials.

    Intervals of means are Student's at 95 %. Those of differences hold for all values of the dimension together
    (Bonferroni). Where two values were tried with the same other values, the differences are taken mix by mix; where
    each has one trial, seed by seed; else between all trials of the one and of the other (Welch).

    Args:
        results: `Results`.
        dimension: `Dimension` with options.
    """
    groups = _groups(results.comparable, dimension)
    by_seed = len(results.plan.seeds) > 1 and all(len(trials) == 1 for trials in groups.values())
    if not groups:
        return Comparison(dimension.name, by_seed, [])
    baseline = _baseline(results.plan.study, dimension.name, groups)
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(groups) - 1)
    levels = []
    for value, trials in groups.items():
        scores = [*trials[0].scores.values()] if by_seed else [trial.score for trial in trials]
        level = Level(value, scores, interval(scores), is_baseline=value == baseline)
        if value != baseline:
            difference = _difference(trials, groups[baseline], dimension.name, confidence)
            level = dataclasses.replace(level, **dict(zip(("difference", "difference_interval", "how"), difference)))
        levels.append(level)
    return Comparison(dimension.name, by_seed, levels)


def interval(values, confidence=CONFIDENCE):
    """Returns Student's interval of the mean of some values; NaN for a single one.

    >>> [round(bound, 3) for bound in interval([0.80, 0.82, 0.84])]
    [0.77, 0.87]
    """
    if len(values) < 2:
        return math.nan, math.nan
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    return _around(mean, error, len(values) - 1, confidence)


def _difference(trials, others, name, confidence):
    """Returns the difference of two groups of trials, its interval, and how it was taken."""
    if len(trials) == len(others) == 1 and len(trials[0].scores) > 1:
        pairs = [(score, others[0].scores[seed]) for seed, score in trials[0].scores.items()]
        return *_paired(pairs, confidence), SEED_BY_SEED
    by_mix = {_mix(trial, name): trial.score for trial in others}
    pairs = [(trial.score, by_mix[_mix(trial, name)]) for trial in trials if _mix(trial, name) in by_mix]
    if len(pairs) > 1:
        return *_paired(pairs, confidence), MIX_BY_MIX
    return *_unpaired([t.score for t in trials], [t.score for t in others], confidence), BETWEEN_TRIALS


def _mix(trial, name):
    """Returns all values of a trial but one, as text."""
    return json.dumps({key: value for key, value in trial.values.items() if key != name}, sort_keys=True)


def _paired(pairs, confidence):
    differences = [own - other for own, other in pairs]
    return statistics.fmean(differences), interval(differences, confidence)


def _unpaired(own, others, confidence):
    """Returns the difference of two means, and Welch's interval of it."""
    difference = statistics.fmean(own) - statistics.fmean(others)
    if min(len(own), len(others)) < 2:
        return difference, (math.nan, math.nan)
    parts = [(statistics.variance(group) / len(group), len(group) - 1) for group in (own, others)]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return difference, (difference, difference)
    freedom = variance**2 / sum(part**2 / free for part, free in parts)
    return difference, _around(difference, math.sqrt(variance), freedom, confidence)


def _around(mean, error, freedom, confidence):
    from scipy import stats

    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return mean - reach, mean + reach


def _groups(trials, dimension):
    """Returns the trials by the value, as text, that they have."""
    texts = [*map(label, dimension.options), ABSENT]
    groups = {text: [] for text in texts}
    for trial in trials:
        groups[label(trial.values[dimension.name]) if dimension.name in trial.values else ABSENT].append(trial)
    return {text: found for text, found in groups.items() if found}


def _baseline(study, name, groups):
    chosen = label(study.baseline[name]) if name in study.baseline else None
    if chosen in groups:
        return chosen
    return max(groups, key=lambda value: statistics.fmean(trial.score for trial in groups[value]))
