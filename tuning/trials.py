"""What is known of each trial of a study."""

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

WAITING, RUNNING, COMPLETED, PRUNED, FAILED = "waiting", "running", "completed", "pruned", "failed"
ENDED = (COMPLETED, PRUNED, FAILED)


@dataclass(frozen=True)
class Execution:
    """One training of a trial.

    Args:
        seed: of the training.
        score: best one of all validations, or None if there was none.
        best_epoch: in which it was reached.
        epochs: that were trained.
        stopped: why the training ended before its last epoch: `""`, `"no better"` (patience) or `"not finite"`.
    """

    seed: int
    score: float | None
    best_epoch: int
    epochs: int
    stopped: str = ""


@dataclass
class Trial:
    """A mix of values, and what came of it.

    Args:
        id: text, the number of the trial.
        values: dict from names of dimensions to values; what did not take part is missing.
        status: `"waiting"` (for another worker), `"running"`, `"completed"`, `"pruned"` (the loss was no longer
            finite) or `"failed"`.
        attempt: how many times it has been handed out.
        losses: how many workers died of it.
        worker: name of the last worker.
        minutes: of all its trainings together.
        parameters: number of weights of the network.
        message: why it was pruned or failed.
        executions: tuple of `Execution`.
        epochs: planned for each training.
        past: id of the trial it goes on with (Hyperband).
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
    message: str = ""
    executions: tuple[Execution, ...] = field(default_factory=tuple)

    @property
    def scores(self):
        """The scores of its trainings, by seed, if the trial is complete."""
        return {execution.seed: execution.score for execution in self.executions} if self.status == COMPLETED else {}

    @property
    def score(self):
        """Mean over the trainings; NaN unless the trial is complete."""
        return statistics.fmean(self.scores.values()) if self.scores else math.nan

    @property
    def deviation(self):
        """Standard deviation between the trainings; NaN below two."""
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else math.nan


def best(trials):
    """Returns the completed trial with the highest score, or None."""
    return max((trial for trial in trials if trial.status == COMPLETED), key=lambda trial: trial.score, default=None)
