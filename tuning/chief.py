"""The chief of a study: hands out trials to workers on lease, and hears how they go."""

import dataclasses
import threading
import time

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.ledger import Ledger
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.results import Results
from recalib_keras.tuning.trials import ENDED, FAILED, WAITING

LARGEST_FAILURE = 3  # trials in a row that may fail before the study is given up, as in keras-tuner


class Chief:
    """Hands out the trials of a study to workers, and keeps what comes of them.

    A worker has a trial on *lease*: it tells from time to time that it is alive. A trial whose worker falls silent or
    dies is handed out again, as the next *attempt*; what an earlier attempt still has to say is then not heard. All
    that matters is on disk before a worker hears of it, so that nothing is lost or counted twice wherever the chief is
    stopped.

    The methods `join`, `ask`, `report`, `tell` and `leave` are for workers; they take and return what JSON can hold,
    and may be called from several threads.

    Args:
        study: `Study`.
        folder: path of the study's state and results. A study that is there already goes on.
        lease: seconds.
        keep_leases: whether the workers that there were when the chief was stopped may still live: for another lease
            they keep their trials, and are waited for. Otherwise their trials are handed out again at once.
        overwrite: whether to remove a study that is there already, and begin anew.
        clock: function that returns seconds.

    Attributes:
        failure: exception that ended the study, or None.

    Raises:
        StudyError: if another chief has the folder, or it holds another study.
        RecordError: if the study does not fit its recipe.
    """

    def __init__(self, study, folder, lease, keep_leases=True, overwrite=False, clock=time.monotonic):
        self.study, self.lease, self.failure = study, lease, None
        self.plan = Plan(study)
        self._ledger = Ledger(self.plan, folder, keep_leases, overwrite)
        self._clock, self._looked = clock, clock()
        self._deadlines = {trial.id: clock() + lease for trial in self._ledger.running.values()}
        self._seen = dict.fromkeys(sorted(self._ledger.workers), clock())
        self._progress, self._failures = {}, 0
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def join(self, worker, study):
        """Lets a worker in.

        Args:
            worker: name, different for each.
            study: fingerprint of the study it is to work on.

        Returns:
            Dict of `"lease"`, in seconds.

        Raises:
            StudyError: if the chief has another study.
        """
        with self._lock:
            self._hear(worker, study)
            return {"lease": self.lease}

    def ask(self, worker, study):
        """Returns what a worker shall do: `{"do": "run", "task": …}`, `{"do": "wait"}` or `{"do": "stop", "why": …}`.

        A worker that asks again, because it did not hear the answer, is told the same.
        """
        with self._lock:
            self._hear(worker, study)
            trial = self._act(self._ledger.hand_out, worker)
            if trial is None:
                return self._send_home(worker) if self.is_over else {"do": "wait"}
            self._deadlines[trial.id] = self._clock() + self.lease
            self._progress.pop(trial.id, None)
            return {"do": "run", "task": self.plan.task(trial)}

    def report(self, worker, study, trial, attempt, progress):
        """Takes a sign of life.

        Args:
            worker, study: as for `join`.
            trial: id of the trial the worker has.
            attempt: of the trial.
            progress: dict of how far it is, for display.

        Returns:
            Dict of `"go_on"`: whether the trial is still the worker's.
        """
        with self._lock:
            self._hear(worker, study)
            mine = self._mine(trial, attempt)
            if mine is None or mine.status in ENDED:
                return {"go_on": False}
            if mine.status == WAITING:  # it was given up too early, and nobody has taken it yet
                self._act(self._ledger.give, mine, worker)
            self._deadlines[trial] = self._clock() + self.lease
            self._progress[trial] = progress
            return {"go_on": self.failure is None}

    def tell(self, worker, study, trial, attempt, outcome):
        """Takes the outcome of a trial.

        Args:
            worker, study, trial, attempt: as for `report`.
            outcome: dict of `"status"`, `"message"`, `"minutes"`, `"parameters"`, `"executions"` (dicts as of
                `Execution`) and `"history"` (for each seed, a dict for each epoch).

        Returns:
            Dict of `"counted"`: whether the outcome is that of the trial.
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

    def leave(self, worker, study):
        """Takes a worker's goodbye; the trial it has is handed out again."""
        with self._lock:
            self._act(self._ledger.take_back, worker)
            self._forget(worker)
            return {}

    def lost(self, worker, how="its worker died") -> None:
        """Hands out again the trial of a worker that is no more, unless it has cost too many workers."""
        with self._lock:
            trial = self._act(self._ledger.take_back, worker, how)
            self._forget(worker)
            if trial is not None and trial.status in ENDED:
                self._note_end(trial)

    def look(self) -> None:
        """Looks after the leases; to be called every second or so."""
        with self._lock:
            now, last = self._clock(), self._looked
            self._looked = now
            if now - last > self.lease / 2:  # the chief itself was held up, and heard nobody
                self._deadlines = dict.fromkeys(self._deadlines, now + self.lease)
            for worker, trial in self._ledger.running.items():
                if now > self._deadlines[trial.id]:
                    self.lost(worker, f"its worker was silent for {self.lease:g} s")

    def wait(self, seconds) -> None:
        """Waits until a trial begins or ends, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def give_up(self, error) -> None:
        """Ends the study as it is on disk; workers are sent home."""
        with self._lock:
            self.failure = self.failure or error
            self._changed.notify_all()

    def close(self) -> None:
        """Lets go of the folder."""
        self._ledger.close()

    @property
    def is_over(self):
        """Whether no trial is left to run, or the study cannot go on."""
        with self._lock:
            return self.failure is not None or self._ledger.is_complete

    @property
    def ended(self):
        """How many trials have ended."""
        with self._lock:
            return sum(trial.status in ENDED for trial in self._ledger.trials.values())

    @property
    def workers(self):
        """Names of the workers that have been heard of within a lease and not yet been sent home."""
        with self._lock:
            return [name for name, last in self._seen.items() if self._clock() - last < self.lease]

    def results(self):
        """Returns the `Results` so far."""
        with self._lock:
            trials = [dataclasses.replace(trial) for trial in self._ledger.trials.values()]
            return Results(self._ledger.folder, self.plan, trials)

    def snapshot(self):
        """Returns copies of the trials, each with its progress or None, and how many there will be (or None)."""
        with self._lock:
            trials = self._ledger.trials.values()
            pairs = [(dataclasses.replace(trial), self._progress.get(trial.id)) for trial in trials]
            return pairs, self._ledger.number_of_trials

    def _hear(self, worker, study):
        if study != self.study.fingerprint:
            raise StudyError(
                f"{worker} has another study than the chief, which works on {self.study.name!r}; give both the same "
                "file"
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
        """Returns the trial, if this attempt is its last and the study goes on."""
        found = self._ledger.trials.get(trial)
        return found if found is not None and found.attempt == attempt and self.failure is None else None

    def _note_end(self, trial):
        self._progress.pop(trial.id, None)
        self._failures = self._failures + 1 if trial.status == FAILED else 0
        if self._failures == LARGEST_FAILURE:
            self.give_up(
                StudyError(f"{LARGEST_FAILURE} trials in a row failed, the last ({trial.id}): {trial.message}")
            )

    def _act(self, act, *arguments):
        """Does something that may fail on disk or in the search; if it does, the study ends as it is on disk."""
        if self.failure is not None:
            return None
        try:
            return act(*arguments)
        except Exception as error:
            self.give_up(error)
            return None
        finally:
            self._changed.notify_all()
