"""A worker: asks the chief for trials and runs them."""

import threading
import time
from pathlib import Path

from recalib_keras.tuning import execution
from recalib_keras.tuning.trials import COMPLETED, FAILED, PRUNED

BEATS = 4  # signs of life in a lease
PAUSE = 0.5  # seconds between two questions when there is nothing to do
ERROR = "error.txt"


def work(chief, study, name, folder, data_root):
    """Runs trials until the chief has no more.

    Args:
        chief: `Chief`, or `RemoteChief`.
        study: fingerprint of the study.
        name: of this worker, different for each.
        folder: path of the study; a trial's trainings go to `trials/<trial>/seed_<seed>` in it. Workers that share a
            disk go on with each other's trainings.
        data_root: path that the recipe's data folder is relative to.

    Returns:
        Why the study was given up, in words; empty if it is complete.

    Raises:
        StudyError: if the chief has another study, or does not answer any more.
        OSError: if the machine fails the worker: a full disk, missing data. Its trial goes to another one.
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
    """Runs a trial and tells the chief."""
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
        if pulse.is_lost():  # and whoever has the trial now may have its files under way
            raise execution.Interrupted from error
        if execution.is_of_this_place(error):
            raise
        status, (message, trace) = FAILED, execution.describe(error)
        (trials / task["trial"]).mkdir(parents=True, exist_ok=True)
        (trials / task["trial"] / ERROR).write_text(trace, encoding="utf-8")
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
    """Tells the chief in the background that a trial is being run, and how far it is.

    Args:
        chief, name, study: as for `work`.
        task: dict, see `Plan.task`.
        interval: seconds between two signs of life.
    """

    def __init__(self, chief, name, study, task, interval):
        super().__init__(daemon=True, name=f"pulse of trial {task['trial']}")
        self.chief, self.call, self.interval = chief, (name, study, task["trial"], task["attempt"]), interval
        self.task, self._done, self._lost = task, threading.Event(), threading.Event()
        self._seconds, self._score = [], None
        self.progress = {}

    def begin(self, seed):
        """Notes that the training with a seed begins."""
        self._show(seed, 0)

    def on_line(self, line):
        """Notes an epoch; raises `Interrupted` if the trial is no longer this worker's."""
        self._seconds.append(line["seconds"])
        if "score" in line:
            self._score = max(line["score"], self._score or 0.0)
        self._show(self.progress["seed"], line["epoch"])
        if self.is_lost():
            raise execution.Interrupted(f"trial {self.task['trial']} is no longer this worker's")

    def is_lost(self):
        """Asks whether the trial is another's by now."""
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

    def run(self):
        while not self._done.wait(self.interval):
            if not self._tell():
                self._lost.set()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self.join()
