"""The list of a study's trials: which there are and how they ended. On disk before anything else.

The search draws trials, workers run them; what this list says is in the state file before a worker gets the trial.
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
from recalib_keras.training.run.folder import CHECKPOINT
from recalib_keras.tuning.algorithms.oracles import make_oracle
from recalib_keras.tuning.reporting.results import HISTORY, RESULTS, write_results
from recalib_keras.tuning.space.mixes import OBJECTIVE
from recalib_keras.tuning.trials.state import STATE, State, check_same, damaged, trials_of
from recalib_keras.tuning.trials.trial import COMPLETED, RUNNING, WAITING, Execution, Trial

if TYPE_CHECKING:
    from recalib_keras.tuning.plan import Plan


class Ledger:
    """The trials of a study, beside the `keras_tuner.Oracle` that draws them.

    Args:
        plan: The study, worked out.
        folder: Folder of the study's state and results. A study that the folder holds continues.
        overwrite: Whether to remove a study that the folder holds, and to start again.

    Attributes:
        trials: Dict from ids to `Trial`, in the order in which they were drawn.

    Raises:
        StudyError: Another process has the folder, or its state is damaged or that of another study.
        RecordError: See `make_oracle`.
        ImportError: See `make_oracle`.
    """

    def __init__(self, plan: Plan, folder: str | os.PathLike, overwrite: bool = False):
        self.plan, self.folder, self.trials = plan, Path(folder), {}
        self._oracle = make_oracle(plan.study, plan.space, plan.epochs)
        self._exhausted = False
        self._state = State(self.folder)
        try:
            if overwrite:
                self._remove_old()
            self._restore(self._state.load())
        except BaseException:
            self._state.close()
            raise

    @property
    def is_complete(self) -> bool:
        """Whether no trial waits and no more will come; those that run may still be running."""
        return self._exhausted and all(trial.status != WAITING for trial in self.trials.values())

    @property
    def number_of_trials(self) -> int | None:
        """Largest number of trials that there will be, or None."""
        return len(self.trials) if self._exhausted else self._oracle.number_of_trials()

    def next(self) -> Trial | None:
        """Returns a trial to run: one that a stopped search has left, or a new one; None if there is none now."""
        trial = next((trial for trial in self.trials.values() if trial.status == WAITING), None) or self._draw()
        if trial is not None:
            trial.status = RUNNING
            drawn = self._oracle.trials[trial.id]
            drawn.status = TrialStatus.RUNNING
            self._oracle.ongoing_trials[trial.id] = drawn
            self.save()
        return trial

    def end(self, trial: Trial, outcome: dict[str, Any]) -> None:
        """Ends a trial. Writes its history first, so that a state with an ended trial has its history on disk.

        Args:
            trial: The trial.
            outcome: See `run_trial`.
        """
        trial.executions = tuple(from_mapping(Execution, item, "execution") for item in outcome.get("executions", ()))
        for key in ("status", "message", "minutes", "parameters", "cost"):
            setattr(trial, key, outcome.get(key, getattr(trial, key)))
        write_text(self.folder / "trials" / trial.id / HISTORY, json.dumps(outcome.get("history", {})))
        drawn = self._oracle.trials[trial.id]
        drawn.status, drawn.message = TrialStatus.FAILED, trial.message
        if trial.status == COMPLETED:
            drawn.status = TrialStatus.COMPLETED
            step = max(execution.best_epoch for execution in trial.executions)
            self._oracle.update_trial(trial.id, {OBJECTIVE: trial.score}, step=step)
        self._oracle.end_trial(drawn)
        self.save()
        write_results(self.folder, self.plan, self.trials.values(), ended=trial)

    def remove_checkpoints(self, trial: Trial) -> None:
        """Removes what only a training that continues needs.

        Args:
            trial: A trial that has ended.
        """
        for checkpoint in (self.folder / "trials" / trial.id).glob(f"seed_*/{CHECKPOINT}"):
            checkpoint.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets trials that run wait for another worker, and releases the folder."""
        try:
            self._give_back()
        except OSError:  # a full disk; they are given back when the study continues
            pass
        finally:
            self._state.close()

    def _draw(self):
        if self._exhausted:
            return None
        drawn = self._oracle.create_trial(f"{len(self.trials)}")
        if drawn.status != TrialStatus.RUNNING:
            if drawn.status == TrialStatus.STOPPED:  # no trial waits here, so no more will come
                self._exhausted = True
                self.save()
            return None
        chosen = drawn.hyperparameters.values
        trial = Trial(
            id=drawn.trial_id,
            values=self.plan.space.values(chosen),
            epochs=chosen.get("tuner/epochs", self.plan.epochs),
            past=chosen.get("tuner/trial_id"),
        )
        del self._oracle.ongoing_trials[f"{len(self.trials)}"]
        self.trials[trial.id] = trial
        return trial

    def save(self) -> None:
        """Writes the state."""
        self._state.save(
            study=self.plan.study.fingerprint,
            recipe=self.plan.fingerprint,
            question=self.plan.study.question,
            base_recipe=self.plan.base,
            most_trials=self.plan.study.most_trials,
            exhausted=self._exhausted,
            trials=[to_mapping(trial) for trial in self.trials.values()],
            oracle=self._oracle.get_state(),
            drawn=[drawn.get_state() for drawn in self._oracle.trials.values()],
        )

    def _restore(self, saved):
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
        self._give_back()

    def _give_back(self):
        """Lets the trials that ran wait for another worker."""
        for drawn in self._oracle.ongoing_trials.values():
            drawn.status = TrialStatus.INVALID  # which the Bayesian search skips
            self.trials[drawn.trial_id].status = WAITING
        if self._oracle.ongoing_trials:
            self._oracle.ongoing_trials.clear()
            self.save()

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
