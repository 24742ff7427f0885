"""The result of a comparison in words: its table, what follows from it, and what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from recalib_keras.tuning.reporting.comparison import ABSENT, BETWEEN_TRIALS, MIX_BY_MIX, SEED_BY_SEED, Comparison
from recalib_keras.tuning.reporting.markdown import bounds, header, names, number, row, signed
from recalib_keras.tuning.trials.trial import COMPLETED

VERDICTS = {
    "higher": "scored higher than",
    "lower": "scored lower than",
    "not told apart": "cannot be told apart from",
    "": "cannot be compared with",
}
# What the intervals of differences mean, by the way in which they were computed.
MEANINGS = {
    SEED_BY_SEED: (
        "- Intervals taken seed by seed show how far a difference depends on the random start and order of the "
        "training, with everything else as in this study."
    ),
    MIX_BY_MIX: (
        "- Intervals taken mix by mix show how far a difference changes with the other values that the study varies, "
        "including the chance in each training; the mixes count as a random sample."
    ),
    BETWEEN_TRIALS: (
        "- Intervals taken between trials count the trials of a value as a random sample of all mixes, independent of "
        "those of the other value; everything else that differs between them widens the interval."
    ),
}


def section(comparison: Comparison) -> Iterator[str]:
    """Yields the lines of a dimension's section.

    Args:
        comparison: The comparison of the dimension's values.
    """
    if not comparison.levels:
        return
    yield f"## {comparison.name}\n"
    if comparison.is_elsewhere:
        yield f"{_elsewhere(comparison)}\n"
        return
    yield from _table(comparison)
    yield f"\n{_conclusion(comparison)}\n"
    sizes = [level.parameters for level in comparison.levels]
    if len({*sizes} - {()}) > 1:
        yield f"{_sizes(comparison.levels)}\n"


def meanings(comparisons: Iterable[Comparison]) -> Iterator[str]:
    """Yields what the intervals of comparisons mean, a line for each way in which they were computed.

    Args:
        comparisons: The comparisons that the report shows.
    """
    shown = [comparison for comparison in comparisons if comparison.levels and not comparison.is_elsewhere]
    taken = {level.difference.how for comparison in shown for level in comparison.others if level.difference.verdict}
    yield from (words for how, words in MEANINGS.items() if how in taken)
    if any(not comparison.by_seed for comparison in shown):
        yield (
            "- The interval of a mean over several trials counts them as a random sample too: it is wide if the other "
            "values matter."
        )
    if taken:
        yield "- Values that cannot be told apart may still differ: more seeds may tell them apart."


def _table(comparison):
    unit = "trainings" if comparison.by_seed else "trials"
    yield header(comparison.name, unit, "mean", "95 % interval", "difference", "its interval", "taken", "")
    for level in comparison.levels:
        own = (level.value, len(level.scores), number(level.mean), bounds(level.interval))
        yield row(*own, *(("", "", "", "baseline") if level.is_baseline else _difference(level.difference)))
    for value, trials in comparison.unscored.items():
        yield row(value, 0, "", "", "", "", "", _state(trials))


def _difference(difference):
    if difference.elsewhere:
        return "", "", "", f"see {difference.elsewhere}"
    taken = f"{difference.how}, {difference.pairs} pairs" if difference.how == MIX_BY_MIX else difference.how
    return signed(difference.mean), bounds(difference.interval, signed), taken, difference.verdict


def _state(trials):
    """Returns why the comparison has no score of some trials."""
    if not trials:
        return "not tried"
    counts = Counter("dropped early" if trial.status == COMPLETED else trial.status for trial in trials)
    message = next((f": {trial.message}" for trial in trials if trial.message), "")
    return ", ".join(f"{count} {status}" for status, count in counts.items()) + message


def _conclusion(comparison):
    if not comparison.others:
        return "Only one value has a comparable trial, so there is nothing to compare."
    baseline = next(level.value for level in comparison.levels if level.is_baseline)
    said = []
    for verdict, words in VERDICTS.items():
        found = [level for level in comparison.others if level.difference.verdict == verdict]
        values = [level.value for level in found if not level.difference.elsewhere]
        if values:
            said.append(f"{names(values)} {words} `{baseline}`{'' if verdict else _why(comparison)}")
    sentences = [f"{_hold(comparison, baseline)}{'; '.join(said)}."]
    if any(level.difference.elsewhere for level in comparison.others):
        sentences.append(_elsewhere(comparison))
    if ABSENT in (level.value for level in comparison.levels):
        sentences.append(f"`{ABSENT}` are the trials in which `{comparison.name}` takes no part.")
    return " ".join(sentences)


def _hold(comparison, baseline):
    """Returns for what the intervals of the differences hold; empty if there are none."""
    if not any(level.difference.verdict for level in comparison.others):
        return ""
    if comparison.is_baseline_named:
        return "All intervals of the differences hold together at 95 %: "
    return (
        f"The baseline `{baseline}` is the value with the highest mean, and was not named before the search; the "
        "intervals of the differences allow for that and hold together for all pairs of values at 95 %: "
    )


def _why(comparison):
    return ": the trials differ in other values too" if comparison.by_seed else ": the trials are too few"


def _elsewhere(comparison):
    """Returns which section shows the differences that this one leaves out."""
    places = dict.fromkeys(level.difference.elsewhere for level in comparison.others if level.difference.elsewhere)
    return f"Whether {names(places)} takes part depends on this value: see the row `{ABSENT}` there."


def _sizes(levels):
    sizes = "; ".join(f"`{level.value}` {_range(level.parameters)}" for level in levels if level.parameters)
    return f"The networks also differ in size, which may cause a difference. Parameters: {sizes}."


def _range(sizes):
    return " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
