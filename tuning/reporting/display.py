"""A study at a glance: one table for a terminal, or a line when a trial begins or ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recalib_keras.core.messages import duration, one_line
from recalib_keras.tuning.space.dimensions import label
from recalib_keras.tuning.trials.trial import ENDED, RUNNING, Trial, best

if TYPE_CHECKING:
    import rich.table

    from recalib_keras.tuning.study import Study

LAST_ENDED = 5  # trials that have ended and are still shown
Progress = dict[str, Any] | None  # what `run_trial` reports


def table(
    study: Study, trials: Sequence[tuple[Trial, Progress]], total: int | None, elapsed: float
) -> rich.table.Table:
    """Returns a table of the trials that run, the last that ended, and the best.

    Args:
        study: The study.
        trials: Pairs of a trial and its progress, see `Search.snapshot`.
        total: Number of trials that there will be, or None.
        elapsed: Seconds since the study began or continued.
    """
    from rich.table import Table

    found = Table(title=headline(study, trials, total, elapsed), title_justify="left", expand=True)
    for name in ("trial", "values", "state", "epoch", study.objective, "left"):
        found.add_column(name, justify="right" if name in ("trial", "epoch", study.objective, "left") else "left")
    top = best(trial for trial, _ in trials)
    ended = [trial for trial, _ in trials if trial.status in ENDED][-LAST_ENDED:]
    for trial, progress in trials:
        if trial.status == RUNNING:
            found.add_row(*_running(trial, progress or {}), style="bold")
        elif trial in ended or trial is top:
            found.add_row(*_ended(trial), style="green" if trial is top else "dim")
    return found


def headline(study: Study, trials: Sequence[tuple[Trial, Progress]], total: int | None, elapsed: float) -> str:
    """Returns the progress of the study in a line.

    Args:
        study: See `table`.
        trials: See `table`.
        total: See `table`.
        elapsed: See `table`.
    """
    ended = sum(trial.status in ENDED for trial, _ in trials)
    top = best(trial for trial, _ in trials)
    parts = [f"{study.name}: {ended} of {'?' if total is None else total} trials"]
    if top is not None:
        parts.append(f"best {top.score:.4f} (trial {top.id})")
    left = time_left(trials, total)
    return ", ".join([*parts, f"{duration(elapsed)} so far", *([f"about {duration(left)} left"] if left else [])])


def time_left(trials: Sequence[tuple[Trial, Progress]], total: int | None) -> float | None:
    """Returns about how many seconds the study still takes, or None if it cannot be estimated.

    Args:
        trials: See `table`.
        total: See `table`.
    """
    lasted = [60 * trial.minutes for trial, _ in trials if trial.status in ENDED and trial.executions]
    running = [(progress or {}).get("left") for trial, progress in trials if trial.status == RUNNING]
    known = [left for left in running if left is not None]
    if not running or total is None or not (lasted or known):
        return None
    typical = sum(lasted) / len(lasted) if lasted else max(known)
    waiting = total - sum(trial.status in (*ENDED, RUNNING) for trial, _ in trials)
    return (sum(typical if left is None else left for left in running) + waiting * typical) / len(running)


class Lines:
    """A line for each trial when it begins and when it ends, for output that is not a terminal."""

    def __init__(self):
        self._reported = set()

    def new(self, trials: Sequence[tuple[Trial, Progress]]) -> list[str]:
        """Returns the lines that are new since the last call.

        Args:
            trials: See `table`.
        """
        lines = []
        for trial, _ in trials:
            state = trial.status if trial.status in ENDED else f"attempt {trial.attempt}"
            if trial.attempt and (trial.id, state) not in self._reported:
                self._reported.add((trial.id, state))
                lines.append(_line(trial))
        return lines


def _line(trial):
    if trial.status in ENDED:
        score = f" {trial.score:.4f}" if trial.scores else ""
        why = f": {one_line(trial.message)}" if trial.message else ""
        return f"trial {trial.id} {trial.status}{score}  {values(trial)}  {duration(60 * trial.minutes)}{why}"
    again = f" again, attempt {trial.attempt}" if trial.attempt > 1 else ""
    return f"trial {trial.id} started{again}  {values(trial)}  by {trial.worker}"


def values(trial: Trial) -> str:
    """Returns the values of a trial in a line.

    Args:
        trial: The trial.
    """
    return " ".join(f"{name}={label(value)}" for name, value in trial.values.items()) or "the recipe as it is"


def _running(trial, progress):
    turn = f" of {progress['turn']}/{progress['turns']}" if progress.get("turns", 1) > 1 else ""
    epoch = f"{progress['epoch']}/{progress['epochs']}{turn}" if progress else f"0/{trial.epochs}"
    score, left = progress.get("score"), progress.get("left")
    again = f", attempt {trial.attempt}" if trial.attempt > 1 else ""
    return (
        trial.id,
        values(trial),
        f"{trial.worker}{again}",
        epoch,
        "" if score is None else f"{score:.4f}",
        "" if left is None else duration(left),
    )


def _ended(trial):
    epochs = "+".join(str(execution.epochs) for execution in trial.executions)
    return trial.id, values(trial), trial.status, epochs, f"{trial.score:.4f}" if trial.scores else "", ""
