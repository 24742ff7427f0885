"""What a comparison found, in words: its table, what follows from it, and what does not."""

from collections import Counter

from recalib_keras.tuning.reporting.comparison import ABSENT, BETWEEN_TRIALS, MIX_BY_MIX, SEED_BY_SEED
from recalib_keras.tuning.reporting.markdown import bounds, header, names, number, row, signed
from recalib_keras.tuning.trials import COMPLETED

VERDICTS = {
    "higher": "scored higher than",
    "lower": "scored lower than",
    "not told apart": "cannot be told apart from",
    "": "cannot be compared with",
}
# What the intervals of differences that were taken in each way stand for.
MEANINGS = {
    SEED_BY_SEED: (
        "- Intervals taken seed by seed tell how far a difference depends on the random start and order of the "
        "training, all else as it was here."
    ),
    MIX_BY_MIX: (
        "- Intervals taken mix by mix tell how far a difference changes with the other values that the study varies, "
        "the chance of each training included; the mixes count as a random sample."
    ),
    BETWEEN_TRIALS: (
        "- Intervals taken between trials count the trials of a value as a random sample of all mixes, independent of "
        "those of the other; what else differs between them widens the interval."
    ),
}


def section(comparison):
    """Yields the lines of a dimension's section.

    Args:
        comparison: `Comparison`.
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


def meanings(comparisons):
    """Yields what the intervals of comparisons stand for, a line for each way in which they were taken."""
    shown = [comparison for comparison in comparisons if comparison.levels and not comparison.is_elsewhere]
    taken = {level.difference.how for comparison in shown for level in comparison.others if level.difference.verdict}
    yield from (words for how, words in MEANINGS.items() if how in taken)
    if any(not comparison.by_seed for comparison in shown):
        yield (
            "- The interval of a mean over several trials counts them as a random sample too: it is wide where the "
            "other values matter."
        )
    if taken:
        yield "- What cannot be told apart is not thereby equal: more seeds may tell it apart."


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
    """Returns why no score of some trials is among those that are compared."""
    if not trials:
        return "not tried"
    counts = Counter("dropped early" if trial.status == COMPLETED else trial.status for trial in trials)
    message = next((f": {trial.message}" for trial in trials if trial.message), "")
    return ", ".join(f"{count} {status}" for status, count in counts.items()) + message


def _conclusion(comparison):
    if not comparison.others:
        return "Only one value has a complete trial: there is nothing to compare."
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
        sentences.append(f"`{ABSENT}` stands for the trials in which `{comparison.name}` takes no part.")
    return " ".join(sentences)


def _hold(comparison, baseline):
    """Returns what the intervals of the differences hold for; empty if there are none."""
    if not any(level.difference.verdict for level in comparison.others):
        return ""
    if comparison.is_baseline_named:
        return "The intervals of the differences hold together at 95 %: "
    return (
        f"The baseline `{baseline}` is the value with the highest mean, not one that was named beforehand; the "
        "intervals of the differences allow for that, and hold together for all pairs of values at 95 %: "
    )


def _why(comparison):
    return ": the trials differ in other values too" if comparison.by_seed else ": the trials are too few"


def _elsewhere(comparison):
    """Returns where the differences are told that this section leaves out."""
    places = dict.fromkeys(level.difference.elsewhere for level in comparison.others if level.difference.elsewhere)
    return f"Whether {names(places)} takes part depends on this value: see the row `{ABSENT}` there."


def _sizes(levels):
    sizes = "; ".join(f"`{level.value}` {_range(level.parameters)}" for level in levels if level.parameters)
    return f"The networks differ in size too, so that a difference may be one of size. Parameters: {sizes}."


def _range(sizes):
    return " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
