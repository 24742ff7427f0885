"""What is known of each trial of a study."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean

WAITING, RUNNING, COMPLETED, PRUNED, FAILED = "waiting", "running", "completed", "pruned", "failed"
ENDED = (COMPLETED, PRUNED, FAILED)
STATUSES = (WAITING, RUNNING, *ENDED)


@dataclass(frozen=True)
class Execution:
    """One training of a trial.

    Args:
        seed: Seed of the training.
        score: Best score of all validations, from 0 to 1; None if there was none.
        best_epoch: Epoch of that score.
        epochs: Number of epochs that were trained.
        stopped: Why the training ended before its last epoch: `""`, `"no better"` (patience), `"not finite"` or
            `"hopeless"` (pruned by the search).

    Raises:
        RecordError: The score is not a finite number.
    """

    seed: int
    score: float | None
    best_epoch: int
    epochs: int
    stopped: str = ""

    def __post_init__(self):
        if self.score is not None and not math.isfinite(self.score):
            raise RecordError(expected="score to be a finite number", received=str(self.score))


@dataclass
class Trial:
    """A mix of values, and its result.

    Args:
        id: Number of the trial, as text.
        values: Dict from names of dimensions to values. Dimensions that take no part are left out.
        epochs: Epochs planned for each training.
        past: Id of the trial that this one continues (Hyperband).
        status: `"waiting"` (for another worker), `"running"`, `"completed"`, `"pruned"` (the loss or a weight was no
            longer finite, or the search found it hopeless) or `"failed"`.
        attempt: How many times a worker has begun the trial.
        losses: How many workers died during the trial.
        worker: Name of the last worker.
        minutes: Duration of all its trainings together.
        parameters: Number of weights of the network.
        cost: What the network costs, if the study asks for it; see `recalib_keras.tuning.trials.cost`.
        message: Why the trial was pruned or failed.
        executions: The trainings.

    Raises:
        RecordError: The status is unknown.
    """

    id: str
    values: dict[str, Any]
    epochs: int
    past: str | None = None
    status: str = WAITING
    attempt: int = 0
    losses: int = 0
    worker: str = ""
    minutes: float = 0.0
    parameters: int | None = None
    cost: float | None = None
    message: str = ""
    executions: tuple[Execution, ...] = field(default_factory=tuple)

    def __post_init__(self):
        if self.status not in STATUSES:
            hint = did_you_mean(self.status, STATUSES) or None
            raise RecordError(
                expected=f"status to be one of {', '.join(STATUSES)}", received=repr(self.status), remedy=hint
            )

    @property
    def scores(self) -> dict[int, float]:
        """The scores of the trainings by seed, if the trial is complete."""
        return {execution.seed: execution.score for execution in self.executions} if self.status == COMPLETED else {}

    @property
    def score(self) -> float:
        """Mean score over the trainings; NaN unless the trial is complete."""
        return statistics.fmean(self.scores.values()) if self.scores else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation between the trainings; NaN for fewer than two."""
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else math.nan

    @property
    def epochs_trained(self) -> tuple[int, ...]:
        """Number of epochs that each training really took."""
        return tuple(execution.epochs for execution in self.executions)


def best(trials: Iterable[Trial]) -> Trial | None:
    """Returns the completed trial with the highest score; of equal scores, the one that was trained longer.

    Args:
        trials: The trials to choose from.

    Returns:
        The trial, or None if no trial is complete.
    """
    completed = (trial for trial in trials if trial.status == COMPLETED)
    return max(completed, key=lambda trial: (trial.score, trial.epochs), default=None)
