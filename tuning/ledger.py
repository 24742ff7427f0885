"""The book of a study's trials: which there are, who has them, what came of them; on disk before all else."""

import json
import shutil
from pathlib import Path

from keras_tuner.engine.trial import Trial as TunerTrial
from keras_tuner.engine.trial import TrialStatus

from recalib_keras.core.errors import StudyError
from recalib_keras.core.files import write_text
from recalib_keras.core.records import from_mapping, to_mapping
from recalib_keras.tuning.oracles import OBJECTIVE, make_oracle
from recalib_keras.tuning.results import HISTORY, RESULTS, write_results
from recalib_keras.tuning.state import STATE, State
from recalib_keras.tuning.trials import COMPLETED, ENDED, FAILED, RUNNING, WAITING, Execution, Trial

LARGEST_LOSS = 3  # workers that a trial may cost before it counts as failed


class Ledger:
    """The trials of a study, beside the `keras_tuner.Oracle` that draws them.

    Args:
        plan: `Plan`.
        folder: path of the study's state and results.
        keep_running: whether the workers that there were when the study was stopped may still be there, and keep their
            trials.
        overwrite: whether to remove a study that is there already, and begin anew.

    Attributes:
        trials: dict from ids to `Trial`, in the order in which they were drawn.
        workers: set of the names of those who have come and not gone.

    Raises:
        StudyError: if another chief has the folder, or it holds another study.
        ImportError, ValueError: see `make_oracle`.
    """

    def __init__(self, plan, folder, keep_running=False, overwrite=False):
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
    def running(self):
        """Dict from the names of workers to the `Trial` that each has."""
        return {worker: self.trials[drawn.trial_id] for worker, drawn in self._oracle.ongoing_trials.items()}

    @property
    def is_complete(self):
        """Whether all trials have ended and there will be no more."""
        return self._exhausted and all(trial.status in ENDED for trial in self.trials.values())

    @property
    def number_of_trials(self):
        """How many trials there will be at most, or None."""
        return len(self.trials) if self._exhausted else self._oracle.number_of_trials()

    def note_worker(self, worker) -> None:
        """Notes that a worker has come."""
        if worker not in self.workers:
            self.workers.add(worker)
            self._save()

    def forget_worker(self, worker) -> None:
        """Notes that a worker has gone."""
        if worker in self.workers:
            self.workers.discard(worker)
            self._save()

    def hand_out(self, worker):
        """Returns a trial for a worker: its own, one that was given back, or a new one; None if there is none."""
        if worker in self.running:
            return self.running[worker]
        trial = next((trial for trial in self.trials.values() if trial.status == WAITING), None) or self._draw(worker)
        if trial is not None:
            trial.attempt += 1
            self.give(trial, worker)
        return trial

    def give(self, trial, worker) -> None:
        """Puts a trial into a worker's hands."""
        trial.status, trial.worker = RUNNING, worker
        drawn = self._oracle.trials[trial.id]
        drawn.status = TrialStatus.RUNNING
        self._oracle.ongoing_trials[worker] = drawn
        self._save()

    def take_back(self, worker, loss=None):
        """Takes a worker's trial back, to be handed out again.

        Args:
            worker: name.
            loss: how the worker was lost, or None if it gave the trial back. A trial that has cost too many workers
                ends as failed.

        Returns:
            The `Trial`, or None if the worker had none.
        """
        drawn = self._oracle.ongoing_trials.pop(worker, None)
        if drawn is None:
            return None
        trial = self.trials[drawn.trial_id]
        trial.losses += loss is not None
        if trial.losses == LARGEST_LOSS:
            self.end(trial, {"status": FAILED, "message": f"{loss}; it has now cost {LARGEST_LOSS} workers"})
            return trial
        drawn.status = TrialStatus.INVALID  # what the Bayesian search passes over
        trial.status = WAITING
        self._save()
        return trial

    def end(self, trial, outcome) -> None:
        """Ends a trial: its history first, so that a state that knows its end has it on disk.

        Args:
            trial: `Trial`.
            outcome: dict, see `Chief.tell`.
        """
        trial.executions = tuple(from_mapping(Execution, item, "execution") for item in outcome.get("executions", ()))
        for key in ("status", "message", "minutes", "parameters"):
            setattr(trial, key, outcome.get(key, getattr(trial, key)))
        history = json.dumps(outcome.get("history", {}))
        path = self.folder / "trials" / trial.id / HISTORY
        write_text(path, history)
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
        """Lets go of the folder."""
        self._state.close()

    def _draw(self, worker):
        if self._exhausted:
            return None
        drawn = self._oracle.create_trial(worker)
        if drawn.status != TrialStatus.RUNNING:
            if drawn.status == TrialStatus.STOPPED:  # nothing waits here, so there will be no more
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
        if (saved["study"], saved["recipe"]) != (self.plan.study.fingerprint, self.plan.fingerprint):
            raise StudyError(
                f"{self.folder} holds another study, or one of another recipe; choose another folder with --output, or "
                "begin anew with --overwrite"
            )
        self.trials = {item["id"]: from_mapping(Trial, item, "trial") for item in saved["trials"]}
        self._oracle.trials = {item["trial_id"]: TunerTrial.from_state(item) for item in saved["drawn"]}
        self._oracle.set_state(saved["oracle"])
        self._exhausted = saved["exhausted"] and saved.get("most_trials") == self.plan.study.most_trials
        if keep_running:
            self.workers = set(saved["workers"])
            return
        for worker in list(self._oracle.ongoing_trials):
            self.take_back(worker)

    def _remove_old(self):
        """Removes what a study has left in the folder, the state last, so that a half removed one is still known."""
        if not (self.folder / STATE).exists():
            return
        for name in ("trials", *RESULTS):
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self.folder / STATE).unlink()
