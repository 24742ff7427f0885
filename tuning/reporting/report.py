"""The report of a study: what was tried, and what the scores show."""

from __future__ import annotations

import os
import shutil
import warnings
from collections import Counter
from pathlib import Path

from recalib_keras.core.files import write_text
from recalib_keras.core.messages import listed, one_line
from recalib_keras.tuning.reporting import findings
from recalib_keras.tuning.reporting.comparison import ABSENT, compare, rivals
from recalib_keras.tuning.reporting.figures import PARETO, draw_figures
from recalib_keras.tuning.reporting.importance import FEWEST_TRIALS, importance
from recalib_keras.tuning.reporting.markdown import header, number, row
from recalib_keras.tuning.reporting.results import EVENTS, FIGURES, REPORT, RESULTS, Results, span, write_results
from recalib_keras.tuning.reporting.settings import settings
from recalib_keras.tuning.space.dimensions import label
from recalib_keras.tuning.trials.cost import COSTS, pareto_front
from recalib_keras.tuning.trials.execution import HOPELESS, NOT_FINITE
from recalib_keras.tuning.trials.trial import FAILED, PRUNED

MOST_TRIALS = 10  # in a table


def write_report(results: Results, data_root: str | os.PathLike | None = None) -> Path:
    """Writes all results again: table, best recipe, HParams, figures, report.

    Parts that need a library that is not installed are left out, with a warning that gives the command to install it.

    Args:
        results: The results of the study.
        data_root: Folder that the recipe's data folder is relative to, to count the scans; None leaves the count out.

    Returns:
        Path of the report.
    """
    write_results(results.folder, results.plan, results.trials)
    figures = _or_warn(draw_figures, results, results.folder / FIGURES) or []
    found = _or_warn(importance, results)
    text = "\n".join(_sections(results, found, figures, data_root)) + "\n"
    return write_text(results.folder / REPORT, text)


def publish(results: Results, folder: str | os.PathLike) -> Path:
    """Copies the small results, all but the trainings and events, to `folder/NAME`; replaces an earlier copy.

    Args:
        results: The results of the study.
        folder: Where to copy them.

    Returns:
        The path of `folder/NAME`.
    """
    target = Path(folder) / results.plan.study.name
    target.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        source = results.folder / name
        if name == EVENTS or not source.exists():
            continue
        if source.is_dir():
            shutil.rmtree(target / name, ignore_errors=True)
            shutil.copytree(source, target / name)
        else:
            shutil.copyfile(source, target / name)
    return target


def _sections(results, found, figures, data_root):
    study, trials = results.plan.study, results.trials
    counts = Counter(trial.status for trial in trials)
    yield f"# {one_line(study.title or study.name)}\n"
    ended = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    seeds = ", ".join(map(str, results.plan.seeds))
    yield (
        f"{len(trials)} trials ({ended}) of the {study.algorithm} search `{study.name}`; each trained with seeds "
        f"{seeds} for {_epochs(results)}. Objective: {_objective(study)} on the validation scans, "
        f"{'the last' if results.plan.validates_once else 'the best'} epoch of each training.\n"
    )
    yield from _settings(results, data_root)
    if results.best is None:
        yield "No trial is complete: nothing can be concluded.\n"
        yield from _unscored_trials(results)
        return
    yield from _best_trials(results)
    yield from _pareto_front(results, figures)
    yield from _unscored_trials(results)
    yield from (_image(path) for path in figures if path.name != PARETO)
    dimensions = [dimension for dimension in results.plan.space.dimensions if dimension.options is not None]
    comparisons = [compare(results, dimension) for dimension in dimensions]
    for comparison in comparisons:
        yield from findings.section(comparison)
    yield from _importance_section(results, found)
    yield from _limits(results, comparisons)


def _epochs(results):
    """Returns the planned length of the trainings, and the real length where it differs."""
    plan, study, trained = results.plan, results.plan.study, results.epochs_trained
    words = f"{plan.epochs} epochs"
    if study.patience:
        words += f" at most, fewer after {study.patience} validations without a better one"
    elif study.algorithm == "hyperband":
        words += " at most, in rounds"
    return words if trained in (None, (plan.epochs,) * 2) else f"{words}; really trained: {_from_to(*trained)}"


def _from_to(fewest, most):
    return f"{most}" if fewest == most else f"{fewest} to {most}"


def _objective(study):
    return "mean Dice of all structures" if study.objective == "dice" else f"Dice of the {study.objective}"


def _settings(results, data_root):
    if not results.trials:
        return
    yield header("", "each training")
    for name, text in settings(results.plan, results.trials[0], data_root).items():
        yield row(name, text)
    yield ""


def _best_trials(results):
    yield "## The best trials\n"
    yield f"{_best_in_words(results)}\n"
    yield header("trial", "mean", "sd", *_dimensions(results), "epochs", "parameters", "minutes")
    completed = sorted((trial for trial in results.trials if trial.scores), key=lambda trial: -trial.score)
    for trial in completed[:MOST_TRIALS]:
        size = "" if trial.parameters is None else f"{trial.parameters:,}"
        scores = number(trial.score), number(trial.deviation)
        epochs = _from_to(*span([trial]))
        yield row(trial.id, *scores, *_values(results, trial), epochs, size, f"{trial.minutes:.1f}")
    yield ""


def _best_in_words(results):
    """Returns which trial has the highest mean, and which trials cannot be told apart from it."""
    best, others = results.best, rivals(results)
    said = f"Trial {best.id} has the highest mean; its recipe is `best.toml`."
    if sum(bool(trial.scores) and trial.epochs == best.epochs for trial in results.trials) == 1:
        return said
    if len(results.plan.seeds) == 1:
        return f"{said} One training a trial does not tell it apart from any other."
    held = "95 %, all pairs of trials together"
    if not others:
        return f"{said} Seed by seed it scored higher than every other that was trained as long ({held})."
    ids = listed((f"`{trial.id}`" for trial in others), MOST_TRIALS)
    return f"{said} Seed by seed it cannot be told apart from {ids} ({held})."


def _image(path):
    return f"![{path.stem.replace('_', ' ')}]({FIGURES}/{path.name})\n"


def _pareto_front(results, figures):
    """Yields the trials that are a good bargain, if the study asks for a cost."""
    if not results.plan.study.cost:
        return
    name, front = COSTS[results.plan.study.cost], pareto_front(results.comparable)
    yield "## Pareto front\n"
    if not front:
        yield f"No trial has a score and a cost ({name}).\n"
        return
    yield f"No other trial has a higher score than one of these without a higher cost ({name}); cheapest first.\n"
    yield header("trial", "mean", name, *_dimensions(results))
    for trial in front:
        yield row(trial.id, number(trial.score), f"{trial.cost:,.6g}", *_values(results, trial))
    yield ""
    yield from (_image(path) for path in figures if path.name == PARETO)


def _unscored_trials(results):
    """Yields a table of the trials that ended without a score, with the reason."""
    ended = [trial for trial in results.trials if trial.status in (PRUNED, FAILED)]
    if not ended:
        return
    yield "## Trials without a score\n"
    yield header("trial", "status", "trainings before", *_dimensions(results), "message")
    for trial in ended[:MOST_TRIALS]:
        before = f"{sum(not _is_broken(run) for run in trial.executions)} of {len(results.plan.seeds)}"
        yield row(trial.id, trial.status, before, *_values(results, trial), trial.message)
    if len(ended) > MOST_TRIALS:
        yield f"\nAnd {len(ended) - MOST_TRIALS} more, see `trials.csv`."
    yield ""


def _is_broken(execution):
    return execution.stopped in (NOT_FINITE, HOPELESS)


def _dimensions(results):
    return [dimension.name for dimension in results.plan.space.dimensions]


def _values(results, trial):
    return [label(trial.values[name]) if name in trial.values else ABSENT for name in _dimensions(results)]


def _importance_section(results, found):
    if len(results.plan.space.dimensions) < 2:
        return
    yield "## Importance\n"
    if found is None:
        yield f"Not estimated: this needs scikit-learn and at least {FEWEST_TRIALS} complete trials.\n"
        return
    yield (
        f"A random forest predicts the scores of trials that it has not seen with a mean absolute error of "
        f"{found.error:.4f}; the mean of the other trials has an error of {found.plain_error:.4f}. Shuffling one "
        "dimension raises the forest's error by:\n"
    )
    yield header("dimension", "by", "sd over folds")
    for name, (mean, deviation) in sorted(found.by_dimension.items(), key=lambda item: -item[1][0]):
        yield row(name, number(mean), number(deviation))
    if not found.is_meaningful:
        yield "\nThe forest predicts no better than the mean: this study does not show which dimension matters."
    yield ""


def _limits(results, comparisons):
    yield "## What this does not show\n"
    yield from findings.meanings(comparisons)
    epochs = _from_to(*span(results.comparable))
    yield "- How scores would differ on other scans: all trials are scored on the same validation scans."
    yield f"- Trainings of {epochs} epochs rank highest what learns fast; longer ones may rank otherwise."
    if not results.plan.validates_once:
        yield "- Each score is that of a training's best epoch on these scans: all scores are optimistic."
    if len(results.comparable) < len([trial for trial in results.trials if trial.scores]):
        yield "- Only the trials that were trained longest are compared; those that were dropped early are left out."
    if len(results.plan.seeds) == 1:
        yield "- There is one training a trial: a difference between two trials may be chance."


def _or_warn(act, *arguments):
    try:
        return act(*arguments)
    except ImportError as error:
        warnings.warn(str(error), stacklevel=3)
        return None
