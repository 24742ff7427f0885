"""How the values of a dimension compare, and which of them the study cannot tell apart."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recalib_keras.tuning.reporting.intervals import interval, paired, pairs_of, together, unpaired
from recalib_keras.tuning.space.dimensions import Dimension, label
from recalib_keras.tuning.trials.trial import COMPLETED, Trial

if TYPE_CHECKING:
    from recalib_keras.tuning.reporting.results import Results
    from recalib_keras.tuning.space.space import Space

SEED_BY_SEED, MIX_BY_MIX, BETWEEN_TRIALS = "seed by seed", "mix by mix", "between trials"
ABSENT = "—"  # the dimension takes no part, such as the positions where there are no blocks


@dataclass(frozen=True)
class Difference:
    """How far a value's mean score is from the baseline's.

    Args:
        mean: The mean difference; NaN if another dimension shows it.
        interval: Interval of the mean difference; NaN if there is none.
        how: How the difference was computed, one of the constants above.
        pairs: How many pairs of scores were compared; 0 between trials.
        elsewhere: Name of the dimension whose own values show the difference: one of the two values leaves it out.
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
        value: The value as text; `"—"` if the dimension takes no part.
        scores: Scores of the trials, or of the trainings of the only trial.
        interval: Interval of their mean; NaN for a single score.
        parameters: Numbers of weights of the trials' networks, each once, the smallest first.
        difference: Difference from the baseline; None for the baseline itself.
    """

    value: str
    scores: list[float]
    interval: tuple[float, float]
    parameters: tuple[int, ...] = ()
    difference: Difference | None = None

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return statistics.fmean(self.scores)

    @property
    def is_baseline(self) -> bool:
        """Whether the others are compared with this value."""
        return self.difference is None


@dataclass(frozen=True)
class Comparison:
    """The values of one dimension.

    Args:
        name: Name of the dimension.
        by_seed: Whether the scores are those of single trainings, since each value has one trial.
        is_baseline_named: Whether the study names the baseline; else it is the value with the highest mean.
        levels: The values, in the order of the study.
        unscored: Dict from values without a comparable trial to their trials.
    """

    name: str
    by_seed: bool
    is_baseline_named: bool
    levels: list[Level]
    unscored: dict[str, list[Trial]]

    @property
    def others(self) -> list[Level]:
        """The levels that are compared with the baseline."""
        return [level for level in self.levels if not level.is_baseline]

    @property
    def is_elsewhere(self) -> bool:
        """Whether other dimensions show all of its differences."""
        return bool(self.others) and all(level.difference.elsewhere for level in self.others)


def compare(results: Results, dimension: Dimension) -> Comparison:
    """Returns the comparison of a dimension's values among the comparable trials.

    Intervals of means are Student's at 95 %. Those of differences hold for all values of the dimension together
    (Bonferroni): for all pairs of them if the baseline is the best of the data, and not named by the study. Two values
    with one trial each that differ in nothing else are compared seed by seed. Where several of their trials differ in
    nothing else, they are compared mix by mix; otherwise all trials of one value with all of the other (Welch). In a
    grid, the only value that leaves another dimension out is compared there, with each value of that dimension.

    Args:
        results: The results of the study.
        dimension: A dimension with options.
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


def rivals(results: Results) -> list[Trial]:
    """Returns the trials that cannot be told apart from the one with the highest mean, the best first.

    Each trial that was trained as long is compared with it seed by seed. The intervals hold at 95 % for all pairs of
    these trials together, since the data choose the best one.

    Args:
        results: Results with a completed trial.
    """
    best = results.best
    peers = [trial for trial in results.trials if trial.status == COMPLETED and trial.epochs == best.epochs]
    confidence = together(pairs_of(len(peers)))
    beaten = [trial for trial in peers if Difference(*_by_seed(best, trial, confidence)).verdict == "higher"]
    return sorted((t for t in peers if t is not best and t not in beaten), key=lambda trial: -trial.score)


def _difference(results, dimension, pair, confidence):
    """Returns the difference of two values, each a pair of a text and its trials."""
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


def gates(space: Space, dimension: Dimension) -> set[str]:
    """Returns the names of the dimensions that decide whether another takes part.

    Args:
        space: The space.
        dimension: The other dimension.
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
    """Returns the dimension that one of two values leaves out in a grid, and no other value does; or an empty text."""
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
    """Returns the trials by their values of some dimensions, as text, without trials that share a mix."""
    mixes = {}
    for trial in trials:
        mix = json.dumps({name: trial.values[name] for name in names & trial.values.keys()}, sort_keys=True)
        mixes.setdefault(mix, []).append(trial)
    return {mix: found[0] for mix, found in mixes.items() if len(found) == 1}


def _options(trials, dimension):
    """Returns all trials by their value as text, with all options of the dimension as keys."""
    options = {text: [] for text in map(label, dimension.options)}
    for trial in trials:
        text = label(trial.values[dimension.name]) if dimension.name in trial.values else ABSENT
        options.setdefault(text, []).append(trial)
    return options


def _groups(trials, dimension):
    """Returns the trials by their value as text, without options that no trial has."""
    return {text: found for text, found in _options(trials, dimension).items() if found}


def _baseline(study, name, groups):
    """Returns the value that the others are compared with, and whether the study names it."""
    chosen = label(study.baseline[name]) if name in study.baseline else None
    if chosen in groups:
        return chosen, True
    best = max(groups, key=lambda value: statistics.fmean(trial.score for trial in groups[value]), default=None)
    return best, False
