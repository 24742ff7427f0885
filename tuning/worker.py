"""A worker: asks the chief for trials and runs them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recalib_keras.core.files import write_text
from recalib_keras.tuning import execution
from recalib_keras.tuning.trials import COMPLETED, FAILED, PRUNED

if TYPE_CHECKING:
    from recalib_keras.tuning.chief import Chief
    from recalib_keras.tuning.service import RemoteChief

BEATS = 4  # reports in a lease
PAUSE = 0.5  # seconds between two questions when there is nothing to do
ERROR = "error.txt"


def work(
    chief: Chief | RemoteChief, study: str, name: str, folder: str | os.PathLike, data_root: str | os.PathLike
) -> str:
    """Runs trials until the chief has no more.

    Args:
        chief: The chief, here or at an address.
        study: Fingerprint of the study.
        name: Name of this worker, different for each.
        folder: Folder of the study; a trial's trainings go to `trials/<trial>/seed_<seed>` in it. Workers that share a
            disk continue each other's trainings.
        data_root: Folder that the recipe's data folder is relative to.

    Returns:
        Why the study ended early, in words; empty if it is complete.

    Raises:
        StudyError: The chief has another study, or no longer answers.
        OSError: The machine fails: a full disk, missing data. Another worker gets the trial.
    """
    lease = chief.join(name, study)["lease"]
    try:
        while True:
            answer = chief.ask(name, study)
            if answer["do"] == "stop":
                return answer["why"]
            if answer["do"] == "wait":
                time.sleep(PAUSE)
                continue
            with _Pulse(chief, name, study, answer["task"], lease / BEATS) as pulse:
                _run(chief, name, study, answer["task"], Path(folder), data_root, pulse)
    except BaseException:
        chief.leave(name, study)
        raise


def _run(chief, name, study, task, folder, data_root, pulse):
    """Runs a trial and sends its outcome to the chief."""
    try:
        outcome = _outcome(task, folder, data_root, pulse)
    except execution.Interrupted:
        return
    counted = chief.tell(name, study, task["trial"], task["attempt"], outcome)["counted"]
    if counted and not task["keep_checkpoints"]:
        for checkpoint in (folder / "trials" / task["trial"]).glob(f"seed_*/{execution.CHECKPOINT}"):
            checkpoint.unlink(missing_ok=True)


def _outcome(task, folder, data_root, pulse):
    trials, start, trained, message = folder / "trials", time.perf_counter(), [], ""
    status = COMPLETED
    try:
        for seed in task["seeds"]:
            execution.start_from_past(task, seed, trials)
            pulse.begin(seed)
            place = trials / task["trial"] / f"seed_{seed}"
            trained.append(execution.execute(task, seed, place, data_root, pulse.on_line))
            if trained[-1]["message"]:
                status, message = PRUNED, trained[-1]["message"]
                break
    except execution.Interrupted:
        raise
    except Exception as error:
        if pulse.is_lost():  # and the worker that has the trial now may be writing its files
            raise execution.Interrupted from error
        if execution.is_of_this_place(error):
            raise
        status, (message, trace) = FAILED, execution.describe(error)
        write_text(trials / task["trial"] / ERROR, trace)
    seconds = sum(line["seconds"] for one in trained for line in one["lines"])
    return {
        "status": status,
        "message": message,
        "minutes": max(seconds, time.perf_counter() - start) / 60,
        "parameters": next((one["parameters"] for one in trained), None),
        "executions": [one["execution"] for one in trained],
        "history": {str(seed): one["lines"] for seed, one in zip(task["seeds"], trained)},
    }


class _Pulse(threading.Thread):
    """Reports to the chief in the background that a trial runs, and how far it is.

    Args:
        chief: See `work`.
        name: See `work`.
        study: See `work`.
        task: See `Plan.task`.
        interval: Seconds between two reports.
    """

    def __init__(self, chief, name, study, task, interval):
        super().__init__(daemon=True, name=f"pulse of trial {task['trial']}")
        self.chief, self.call, self.interval = chief, (name, study, task["trial"], task["attempt"]), interval
        self.task, self._done, self._lost = task, threading.Event(), threading.Event()
        self._seconds, self._score = [], None
        self.progress = {}

    def begin(self, seed: int) -> None:
        """Notes that the training with a seed begins."""
        self._show(seed, 0)

    def on_line(self, line: dict) -> None:
        """Notes an epoch; raises `Interrupted` if the trial is no longer this worker's."""
        self._seconds.append(line["seconds"])
        if "score" in line:
            self._score = max(line["score"], self._score or 0.0)
        self._show(self.progress["seed"], line["epoch"])
        if self.is_lost():
            raise execution.Interrupted(f"trial {self.task['trial']} is no longer this worker's")

    def is_lost(self) -> bool:
        """Returns whether the trial is no longer this worker's."""
        return self._lost.is_set() or not self._tell()

    def _show(self, seed, epoch):
        turn = self.task["seeds"].index(seed)
        left = self.task["epochs"] * (len(self.task["seeds"]) - turn) - epoch
        mean = sum(self._seconds) / len(self._seconds) if self._seconds else None
        self.progress = {
            "seed": seed,
            "turn": turn + 1,
            "turns": len(self.task["seeds"]),
            "epoch": epoch,
            "epochs": self.task["epochs"],
            "score": self._score,
            "left": None if mean is None else mean * left,
        }

    def _tell(self):
        return self.chief.report(*self.call, self.progress)["go_on"]

    def run(self) -> None:
        """Reports until the trial ends; see `threading.Thread`."""
        while not self._done.wait(self.interval):
            if not self._tell():
                self._lost.set()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self.join()
