"""What a worker does with a trial: one training for each seed, from where an earlier worker was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock

from recalib_keras.core.errors import StudyError
from recalib_keras.core.files import write_text
from recalib_keras.tuning.trials import cost, execution
from recalib_keras.tuning.trials.trial import COMPLETED, FAILED, PRUNED

ERROR, LOCK = "error.txt", "trial.lock"
PAUSE = 0.1  # seconds between two looks whether an earlier worker has let a trial go


def run_trial(task: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Runs a trial.

    A worker that the search has lost may still be in its last epoch, so only one at a time has the trial's folder.

    Args:
        task: See `Plan.task`, with `"folder"`, the study's, and `"data_root"`.
        report: Takes the progress after each epoch; returns whether the trial should continue.

    Returns:
        Dict of `"status"`, `"message"`, `"minutes"`, `"parameters"`, `"cost"`, `"executions"` (dicts as of
        `Execution`) and `"history"` (for each seed, a dict for each epoch).

    Raises:
        OSError: The machine fails: a full disk, missing data.
    """
    folder = Path(task["folder"]) / "trials" / task["trial"]
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / LOCK, poll_interval=PAUSE):
        return _outcome(task, folder, _Progress(task, report))


def _outcome(task, folder, progress):
    start, trained, status, message, price = time.perf_counter(), [], COMPLETED, "", None
    try:
        for seed in task["seeds"]:
            execution.start_from_past(task, seed, folder.parent)
            progress.begin(seed)
            trained.append(execution.execute(task, seed, folder / f"seed_{seed}", task["data_root"], progress.on_line))
            message = trained[-1]["message"]
            if message:
                status = PRUNED
                break
        if task["cost"] and status == COMPLETED:
            price, message = _price(task)
    except Exception as error:
        if execution.is_of_this_place(error):
            raise
        status, (message, trace) = FAILED, execution.describe(error)
        write_text(folder / ERROR, trace)
    seconds = sum(line["seconds"] for one in trained for line in one["lines"])
    return {
        "status": status,
        "message": message,
        "minutes": max(seconds, time.perf_counter() - start) / 60,
        "cost": price,
        "parameters": next((one["parameters"] for one in trained), None),
        "executions": [one["execution"] for one in trained],
        "history": {str(seed): one["lines"] for seed, one in zip(task["seeds"], trained)},
    }


def _price(task):
    """Returns the cost of a trial's network; or None and the reason, since its scores are worth keeping."""
    try:
        return cost.measure(task["cost"], task["recipe"], task["data_root"]), ""
    except StudyError as error:
        return None, str(error)


class _Progress:
    """Reports after each epoch how far a trial is.

    Args:
        task: See `run_trial`.
        report: See `run_trial`.
    """

    def __init__(self, task, report):
        self.task, self.report = task, report
        self.seed, self.seconds, self.score = None, [], None

    def begin(self, seed: int) -> None:
        """Notes that the training with a seed begins."""
        self.seed = seed

    def on_line(self, line: dict[str, Any]) -> None:
        """Reports an epoch; raises `Interrupted` if the search does not want the trial any longer."""
        self.seconds.append(line["seconds"])
        if "score" in line:
            self.score = max(line["score"], self.score or 0.0)
        turn, turns, epochs = self.task["seeds"].index(self.seed), len(self.task["seeds"]), self.task["epochs"]
        progress = {"seed": self.seed, "turn": turn + 1, "turns": turns, "epoch": line["epoch"], "epochs": epochs}
        mean = sum(self.seconds) / len(self.seconds)
        left = mean * (epochs * (turns - turn) - line["epoch"])
        if not self.report({**progress, "score": self.score, "last": line.get("score"), "left": left}):
            raise execution.Interrupted("stopped by the search")
