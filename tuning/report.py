"""A study in words: what was tried, what came out, and what can and cannot be concluded from it."""

import math
import shutil
import warnings
from collections import Counter
from pathlib import Path

from recalib_keras.tuning.comparison import ABSENT, compare
from recalib_keras.tuning.dimensions import label
from recalib_keras.tuning.figures import draw_figures
from recalib_keras.tuning.importance import FEWEST_TRIALS, importance
from recalib_keras.tuning.results import EVENTS, FIGURES, REPORT, RESULTS, write_results
from recalib_keras.volumes import atomic_write

MOST_TRIALS = 10  # in the table of the best


def write_report(results):
    """Writes all results anew from what is known of the trials: table, best recipe, HParams, figures, report.

    What needs a library that is not installed is left out, with a warning that names the command to install it.

    Args:
        results: `Results`.

    Returns:
        Path of the report.
    """
    write_results(results.folder, results.plan, results.trials)
    figures = _or_warn(draw_figures, results, results.folder / FIGURES) or []
    found = _or_warn(importance, results)
    text = "\n".join(_sections(results, found, figures)) + "\n"
    return atomic_write(results.folder / REPORT, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def publish(results, folder):
    """Copies the results that are small enough to keep, all but the trainings and events, to `folder/NAME`.

    Returns:
        The path of that folder.
    """
    target = Path(folder) / results.plan.study.name
    target.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        source = results.folder / name
        if name == EVENTS or not source.exists():
            continue
        if source.is_dir():
            shutil.copytree(source, target / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target / name)
    return target


def _sections(results, found, figures):
    study, trials = results.plan.study, results.trials
    counts = Counter(trial.status for trial in trials)
    yield f"# {study.title or study.name}\n"
    ended = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    seeds = ", ".join(map(str, results.plan.seeds))
    yield (
        f"{len(trials)} trials ({ended}) of the {study.algorithm} search `{study.name}`; each trained with seeds "
        f"{seeds} for {results.plan.epochs} epochs at most. Objective: {_objective(study)} on the validation scans, "
        f"{'the last' if results.plan.validates_once else 'the best'} epoch of each training.\n"
    )
    if results.best is None:
        yield "No trial is complete: nothing can be concluded."
        return
    yield from _best_table(results)
    for path in figures:
        yield f"![{path.stem.replace('_', ' ')}]({FIGURES}/{path.name})\n"
    for dimension in results.plan.space.dimensions:
        if dimension.options is not None:
            yield from _dimension_section(compare(results, dimension))
    yield from _importance_section(results, found)
    yield from _limits(results)


def _objective(study):
    return "mean Dice of all structures" if study.objective == "dice" else f"Dice of the {study.objective}"


def _best_table(results):
    names = [dimension.name for dimension in results.plan.space.dimensions]
    yield "## The best trials\n"
    yield f"The best recipe is `best.toml` (trial {results.best.id}).\n"
    yield from _header("trial", "mean", "sd", *names, "parameters", "minutes")
    completed = sorted((trial for trial in results.trials if trial.scores), key=lambda trial: -trial.score)
    for trial in completed[:MOST_TRIALS]:
        values = [label(trial.values[name]) if name in trial.values else ABSENT for name in names]
        size = "" if trial.parameters is None else f"{trial.parameters:,}"
        yield _row(trial.id, _number(trial.score), _number(trial.deviation), *values, size, f"{trial.minutes:.1f}")
    yield ""


def _dimension_section(comparison):
    if not comparison.levels:
        return
    unit = "trainings" if comparison.by_seed else "trials"
    yield f"## {comparison.name}\n"
    yield from _header(comparison.name, unit, "mean", "95 % interval", "difference", "its interval", "taken", "")
    for level in comparison.levels:
        verdict = "baseline" if level.is_baseline else level.verdict
        yield _row(
            *(level.value, len(level.scores), _number(level.mean), _interval(level.interval)),
            *(_signed(level.difference), _interval(level.difference_interval, _signed), level.how, verdict),
        )
    yield f"\n{_conclusion(comparison)}\n"


def _conclusion(comparison):
    baseline = next(level.value for level in comparison.levels if level.is_baseline)
    others = [level for level in comparison.levels if not level.is_baseline]
    if not others:
        return "Only one value has a complete trial: there is nothing to compare."
    said = []
    for verdict, words in (
        ("higher", f"scored higher than `{baseline}`"),
        ("lower", f"scored lower than `{baseline}`"),
        ("not told apart", f"cannot be told apart from `{baseline}`"),
        ("", f"cannot be compared with `{baseline}`: the scores are too few"),
    ):
        values = [f"`{level.value}`" for level in others if level.verdict == verdict]
        if values:
            said.append(f"{', '.join(values)} {words}")
    return f"The intervals of the differences hold together at 95 %: {'; '.join(said)}."


def _importance_section(results, found):
    if len(results.plan.space.dimensions) < 2:
        return
    yield "## Importance\n"
    if found is None:
        yield f"Not estimated: that takes scikit-learn and at least {FEWEST_TRIALS} complete trials.\n"
        return
    yield (
        f"A random forest predicts the score of trials that it has not seen to {found.error:.4f} (mean absolute "
        f"error); the mean of the other trials does to {found.plain_error:.4f}. Shuffling one dimension makes the "
        "forest worse by:\n"
    )
    yield from _header("dimension", "by", "sd over folds")
    for name, (mean, deviation) in sorted(found.by_dimension.items(), key=lambda item: -item[1][0]):
        yield _row(name, _number(mean), _number(deviation))
    if not found.is_meaningful:
        yield "\nThe forest does no better than the mean: this study does not show which dimension matters."
    yield ""


def _limits(results):
    yield "## What this does not show\n"
    yield (
        "- The intervals tell how far the result depends on the random start and order of the training, not how it "
        "would differ on other scans: all trials are scored on the same validation scans.\n"
        f"- Trainings of {results.plan.epochs} epochs rank what learns fast; longer ones may rank otherwise."
    )
    if not results.plan.validates_once:
        yield "- Each score is that of a training's best epoch on these scans, which flatters all trials alike."
    if len(results.comparable) < len([trial for trial in results.trials if trial.scores]):
        yield "- Only the trials that were trained longest are compared; what was dropped early is not among them."
    if len(results.plan.seeds) == 1:
        yield "- There is one training a trial: a difference between two trials may be chance."


def _or_warn(act, *arguments):
    try:
        return act(*arguments)
    except ImportError as error:
        warnings.warn(str(error), stacklevel=3)
        return None


def _header(*names):
    return _row(*names), "|" + "---|" * len(names)


def _row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def _number(value):
    return "" if math.isnan(value) else f"{value:.4f}"


def _signed(value):
    return "" if math.isnan(value) else f"{value:+.4f}"


def _interval(bounds, write=_number):
    return "" if math.isnan(bounds[0]) else f"{write(bounds[0])} to {write(bounds[1])}"
