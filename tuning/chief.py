"""The chief of a study: gives trials to workers on lease, and collects their outcomes."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.ledger import Ledger
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.results import Results
from recalib_keras.tuning.study import Study
from recalib_keras.tuning.trials import ENDED, FAILED, WAITING, Trial

LARGEST_FAILURE = 3  # trials in a row that may fail before the study ends, as in keras-tuner


class Chief:
    """Gives the trials of a study to workers, and keeps their outcomes.

    A worker has a trial on *lease*: it reports regularly that it is alive. If the worker falls silent or dies, another
    worker gets the trial, as the next *attempt*; reports of earlier attempts are then ignored. Everything that matters
    is on disk before a worker hears of it, so that nothing is lost or counted twice, whenever the chief is stopped.

    The methods `join`, `ask`, `report`, `tell` and `leave` are for workers. They take and return what JSON can hold,
    and several threads may call them.

    Args:
        study: The study.
        folder: Folder of the study's state and results. A study that the folder holds continues.
        lease: Seconds without a report after which a worker loses its trial.
        keep_leases: Whether workers from before a restart of the chief may still live: they keep their trials for
            another lease, and the chief waits for them. Otherwise their trials are given to others at once.
        overwrite: Whether to remove a study that the folder holds, and to start again.
        clock: Returns seconds.

    Attributes:
        failure: Exception that ended the study, or None.

    Raises:
        StudyError: Another chief has the folder, or its state is damaged or that of another study.
        RecordError: The study does not fit its recipe.
    """

    def __init__(
        self,
        study: Study,
        folder: str | os.PathLike,
        lease: float,
        keep_leases: bool = True,
        overwrite: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.study, self.lease = study, lease
        self.failure: Exception | None = None
        self.plan = Plan(study)
        self._ledger = Ledger(self.plan, folder, keep_leases, overwrite)
        self._clock, self._looked = clock, clock()
        self._deadlines = {trial.id: clock() + lease for trial in self._ledger.running.values()}
        self._seen = dict.fromkeys(sorted(self._ledger.workers), clock())
        self._progress, self._failures = {}, 0
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def join(self, worker: str, study: str) -> dict[str, Any]:
        """Admits a worker.

        Args:
            worker: Name, different for each worker.
            study: Fingerprint of the study that the worker wants to work on.

        Returns:
            Dict of `"lease"`, in seconds.

        Raises:
            StudyError: The chief has another study.
        """
        with self._lock:
            self._hear(worker, study)
            return {"lease": self.lease}

    def ask(self, worker: str, study: str) -> dict[str, Any]:
        """Returns what a worker must do: `{"do": "run", "task": …}`, `{"do": "wait"}` or `{"do": "stop", "why": …}`.

        A worker that asks again, because the answer was lost, gets the same answer.

        Args:
            worker: See `join`.
            study: See `join`.
        """
        with self._lock:
            self._hear(worker, study)
            trial = self._act(self._ledger.hand_out, worker)
            if trial is None:
                return self._send_home(worker) if self.is_over else {"do": "wait"}
            self._deadlines[trial.id] = self._clock() + self.lease
            self._progress.pop(trial.id, None)
            return {"do": "run", "task": self.plan.task(trial)}

    def report(self, worker: str, study: str, trial: str, attempt: int, progress: dict[str, Any]) -> dict[str, Any]:
        """Takes the report that a worker is alive.

        Args:
            worker: See `join`.
            study: See `join`.
            trial: Id of the worker's trial.
            attempt: Attempt of the trial.
            progress: How far the trial is, for display.

        Returns:
            Dict of `"go_on"`: whether the trial is still the worker's.
        """
        with self._lock:
            self._hear(worker, study)
            mine = self._mine(trial, attempt)
            if mine is None or mine.status in ENDED:
                return {"go_on": False}
            if mine.status == WAITING:  # taken back too early, and no other worker has it yet
                self._act(self._ledger.give, mine, worker)
            self._deadlines[trial] = self._clock() + self.lease
            self._progress[trial] = progress
            return {"go_on": self.failure is None}

    def tell(self, worker: str, study: str, trial: str, attempt: int, outcome: dict[str, Any]) -> dict[str, Any]:
        """Takes the outcome of a trial.

        Args:
            worker: See `join`.
            study: See `join`.
            trial: See `report`.
            attempt: See `report`.
            outcome: Dict of `"status"`, `"message"`, `"minutes"`, `"parameters"`, `"executions"` (dicts as of
                `Execution`) and `"history"` (for each seed, a dict for each epoch).

        Returns:
            Dict of `"counted"`: whether the outcome became that of the trial.
        """
        with self._lock:
            self._hear(worker, study)
            mine = self._mine(trial, attempt)
            if mine is None:
                return {"counted": False}
            if mine.status not in ENDED:
                self._act(self._ledger.end, mine, outcome)
                self._note_end(mine)
            return {"counted": self.failure is None}

    def leave(self, worker: str, study: str) -> dict[str, Any]:
        """Lets a worker go; its trial is given to another.

        Args:
            worker: See `join`.
            study: See `join`.
        """
        with self._lock:
            self._act(self._ledger.take_back, worker)
            self._forget(worker)
            return {}

    def lost(self, worker: str, how: str = "its worker died") -> None:
        """Gives the trial of a dead worker to another, unless too many workers were lost in it.

        Args:
            worker: Name of the worker.
            how: How it was lost, in words.
        """
        with self._lock:
            trial = self._act(self._ledger.take_back, worker, how)
            self._forget(worker)
            if trial is not None and trial.status in ENDED:
                self._note_end(trial)

    def look(self) -> None:
        """Takes back the trials whose lease has ended. Call it about every second."""
        with self._lock:
            now, last = self._clock(), self._looked
            self._looked = now
            if now - last > self.lease / 2:  # the chief itself was held up, and got no reports
                self._deadlines = dict.fromkeys(self._deadlines, now + self.lease)
            for worker, trial in self._ledger.running.items():
                if now > self._deadlines[trial.id]:
                    self.lost(worker, f"its worker was silent for {self.lease:g} s")

    def wait(self, seconds: float) -> None:
        """Waits until a trial begins or ends.

        Args:
            seconds: The longest time to wait.
        """
        with self._changed:
            self._changed.wait(seconds)

    def give_up(self, error: Exception) -> None:
        """Ends the study as it is on disk; workers stop.

        Args:
            error: Why.
        """
        with self._lock:
            self.failure = self.failure or error
            self._changed.notify_all()

    def close(self) -> None:
        """Releases the folder."""
        self._ledger.close()

    @property
    def is_over(self) -> bool:
        """Whether no trial is left to run, or the study cannot continue."""
        with self._lock:
            return self.failure is not None or self._ledger.is_complete

    @property
    def ended(self) -> int:
        """Number of trials that have ended."""
        with self._lock:
            return sum(trial.status in ENDED for trial in self._ledger.trials.values())

    @property
    def workers(self) -> list[str]:
        """Names of the workers that have reported within a lease and were not yet told to stop."""
        with self._lock:
            return [name for name, last in self._seen.items() if self._clock() - last < self.lease]

    def results(self) -> Results:
        """Returns the `Results` so far."""
        with self._lock:
            trials = [dataclasses.replace(trial) for trial in self._ledger.trials.values()]
            return Results(self._ledger.folder, self.plan, trials)

    def snapshot(self) -> tuple[list[tuple[Trial, dict[str, Any] | None]], int | None]:
        """Returns copies of the trials, each with its progress or None, and how many there will be, or None."""
        with self._lock:
            trials = self._ledger.trials.values()
            pairs = [(dataclasses.replace(trial), self._progress.get(trial.id)) for trial in trials]
            return pairs, self._ledger.number_of_trials

    def _hear(self, worker, study):
        if study != self.study.fingerprint:
            raise StudyError(
                f"expected {worker} to work on the study of the chief, {self.study.name!r}, got another study; give "
                "both the same file"
            )
        self._seen[worker] = self._clock()
        self._act(self._ledger.note_worker, worker)

    def _forget(self, worker):
        self._seen.pop(worker, None)
        self._act(self._ledger.forget_worker, worker)

    def _send_home(self, worker):
        self._forget(worker)
        return {"do": "stop", "why": str(self.failure or "")}

    def _mine(self, trial, attempt):
        """Returns the trial, if this attempt is its last and the study has not ended."""
        found = self._ledger.trials.get(trial)
        return found if found is not None and found.attempt == attempt and self.failure is None else None

    def _note_end(self, trial):
        self._progress.pop(trial.id, None)
        self._failures = self._failures + 1 if trial.status == FAILED else 0
        if self._failures == LARGEST_FAILURE:
            self.give_up(
                StudyError(
                    f"expected trials that can be trained, got {LARGEST_FAILURE} failures in a row, the last "
                    f"({trial.id}): {trial.message}; correct the study"
                )
            )

    def _act(self, act, *arguments):
        """Calls what may fail on disk or in the search; if it fails, the study ends as it is on disk."""
        if self.failure is not None:
            return None
        try:
            return act(*arguments)
        except Exception as error:
            self.give_up(error)
            return None
        finally:
            self._changed.notify_all()
