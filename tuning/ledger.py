"""The list of a study's trials: which there are, which worker has them, how they ended. On disk before anything else.

The search draws trials, workers run them; what this list says is in the state file before a worker hears of it.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_tuner.engine.trial import Trial as TunerTrial
from keras_tuner.engine.trial import TrialStatus

from recalib_keras.core.files import write_text
from recalib_keras.core.records import from_mapping, to_mapping
from recalib_keras.tuning.mixes import OBJECTIVE
from recalib_keras.tuning.oracles import make_oracle
from recalib_keras.tuning.results import HISTORY, RESULTS, write_results
from recalib_keras.tuning.state import STATE, State, check_same, damaged, trials_of
from recalib_keras.tuning.trials import COMPLETED, ENDED, FAILED, RUNNING, WAITING, Execution, Trial

if TYPE_CHECKING:
    from recalib_keras.tuning.plan import Plan

LARGEST_LOSS = 3  # workers that may die during a trial before it counts as failed


class Ledger:
    """The trials of a study, beside the `keras_tuner.Oracle` that draws them.

    Args:
        plan: The study, worked out.
        folder: Folder of the study's state and results.
        keep_running: Whether the workers of a stopped study may still run, and keep their trials.
        overwrite: Whether to remove a study that the folder holds, and to start again.

    Attributes:
        trials: Dict from ids to `Trial`, in the order in which they were drawn.
        workers: Set of the names of the workers that have joined and not left.

    Raises:
        StudyError: Another chief has the folder, or its state is damaged or that of another study.
        RecordError: See `make_oracle`.
        ImportError: See `make_oracle`.
    """

    def __init__(self, plan: Plan, folder: str | os.PathLike, keep_running: bool = False, overwrite: bool = False):
        self.plan, self.folder, self.trials, self.workers = plan, Path(folder), {}, set()
        self._oracle = make_oracle(plan.study, plan.space, plan.epochs)
        self._exhausted = False
        self._state = State(self.folder)
        try:
            if overwrite:
                self._remove_old()
            self._restore(self._state.load(), keep_running)
        except BaseException:
            self._state.close()
            raise

    @property
    def running(self) -> dict[str, Trial]:
        """The trial that each worker has, by the worker's name."""
        return {worker: self.trials[drawn.trial_id] for worker, drawn in self._oracle.ongoing_trials.items()}

    @property
    def is_complete(self) -> bool:
        """Whether all trials have ended and no more will come."""
        return self._exhausted and all(trial.status in ENDED for trial in self.trials.values())

    @property
    def number_of_trials(self) -> int | None:
        """Largest number of trials that there will be, or None."""
        return len(self.trials) if self._exhausted else self._oracle.number_of_trials()

    def note_worker(self, worker: str) -> None:
        """Notes that a worker has joined."""
        if worker not in self.workers:
            self.workers.add(worker)
            self._save()

    def forget_worker(self, worker: str) -> None:
        """Notes that a worker has left."""
        if worker in self.workers:
            self.workers.discard(worker)
            self._save()

    def hand_out(self, worker: str) -> Trial | None:
        """Returns a trial for a worker: its own, one that another gave back, or a new one; None if there is none."""
        if worker in self.running:
            return self.running[worker]
        trial = next((trial for trial in self.trials.values() if trial.status == WAITING), None) or self._draw(worker)
        if trial is not None:
            trial.attempt += 1
            self.give(trial, worker)
        return trial

    def give(self, trial: Trial, worker: str) -> None:
        """Gives a trial to a worker."""
        trial.status, trial.worker = RUNNING, worker
        drawn = self._oracle.trials[trial.id]
        drawn.status = TrialStatus.RUNNING
        self._oracle.ongoing_trials[worker] = drawn
        self._save()

    def take_back(self, worker: str, loss: str | None = None) -> Trial | None:
        """Takes a worker's trial back, so that another worker can have it.

        Args:
            worker: Name of the worker.
            loss: How the worker was lost, or None if it gave the trial back. A trial during which too many workers
                were lost ends as failed.

        Returns:
            The trial, or None if the worker had none.
        """
        drawn = self._oracle.ongoing_trials.pop(worker, None)
        if drawn is None:
            return None
        trial = self.trials[drawn.trial_id]
        trial.losses += loss is not None
        if trial.losses == LARGEST_LOSS:
            self.end(trial, {"status": FAILED, "message": f"{loss}; {LARGEST_LOSS} workers were lost in this trial"})
            return trial
        drawn.status = TrialStatus.INVALID  # which the Bayesian search skips
        trial.status = WAITING
        self._save()
        return trial

    def end(self, trial: Trial, outcome: dict[str, Any]) -> None:
        """Ends a trial. Writes its history first, so that a state with an ended trial has its history on disk.

        Args:
            trial: The trial.
            outcome: See `Chief.tell`.
        """
        trial.executions = tuple(from_mapping(Execution, item, "execution") for item in outcome.get("executions", ()))
        for key in ("status", "message", "minutes", "parameters"):
            setattr(trial, key, outcome.get(key, getattr(trial, key)))
        write_text(self.folder / "trials" / trial.id / HISTORY, json.dumps(outcome.get("history", {})))
        drawn = self._oracle.trials[trial.id]
        drawn.status, drawn.message = TrialStatus.FAILED, trial.message
        if trial.status == COMPLETED:
            drawn.status = TrialStatus.COMPLETED
            step = max(execution.best_epoch for execution in trial.executions)
            self._oracle.update_trial(trial.id, {OBJECTIVE: trial.score}, step=step)
        self._oracle.end_trial(drawn)
        self._save()
        write_results(self.folder, self.plan, self.trials.values(), ended=trial)

    def close(self) -> None:
        """Releases the folder."""
        self._state.close()

    def _draw(self, worker):
        if self._exhausted:
            return None
        drawn = self._oracle.create_trial(worker)
        if drawn.status != TrialStatus.RUNNING:
            if drawn.status == TrialStatus.STOPPED:  # no trial waits here, so no more will come
                self._exhausted = True
                self._save()
            return None
        chosen = drawn.hyperparameters.values
        trial = Trial(
            id=drawn.trial_id,
            values=self.plan.space.values(chosen),
            epochs=chosen.get("tuner/epochs", self.plan.epochs),
            past=chosen.get("tuner/trial_id"),
        )
        self.trials[trial.id] = trial
        return trial

    def _save(self):
        self._state.save(
            study=self.plan.study.fingerprint,
            recipe=self.plan.fingerprint,
            question=self.plan.study.question,
            base_recipe=self.plan.base,
            most_trials=self.plan.study.most_trials,
            exhausted=self._exhausted,
            workers=sorted(self.workers),
            trials=[to_mapping(trial) for trial in self.trials.values()],
            oracle=self._oracle.get_state(),
            drawn=[drawn.get_state() for drawn in self._oracle.trials.values()],
        )

    def _restore(self, saved, keep_running):
        if saved is None:
            return
        check_same(saved, self.plan, self.folder)
        self.trials = {trial.id: trial for trial in trials_of(saved)}
        try:
            self._oracle.trials = {item["trial_id"]: TunerTrial.from_state(item) for item in saved["drawn"]}
            self._oracle.set_state(saved["oracle"])
        except Exception as error:  # keras-tuner checks nothing, and raises whatever comes
            reason = f"a search that cannot be restored ({type(error).__name__}: {error})"
            raise damaged(self._state.path, reason) from None
        self._exhausted = saved["exhausted"] and saved.get("most_trials") == self.plan.study.most_trials
        if keep_running:
            self.workers = set(map(str, saved["workers"]))
            return
        for worker in list(self._oracle.ongoing_trials):
            self.take_back(worker)

    def _remove_old(self):
        """Removes what a study has left in the folder, its state last, so that a rest of it is still recognised."""
        if not (self.folder / STATE).exists():
            return
        for name in ("trials", *RESULTS):
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self.folder / STATE).unlink()
