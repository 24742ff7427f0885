"""Runs a study: draws trials, gives them to workers, and keeps what becomes of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recalib_keras.core.backend import start_backend
from recalib_keras.core.errors import StudyError
from recalib_keras.core.spreading import devices
from recalib_keras.core.spreading.pool import MOST_LOSSES, Done, Listener, Workers, open_pool
from recalib_keras.tuning.algorithms.pruning import Pruner
from recalib_keras.tuning.trials.trial import ENDED, FAILED, PRUNED, Trial
from recalib_keras.tuning.trials.trial_work import run_trial

if TYPE_CHECKING:
    from recalib_keras.tuning.reporting.results import Results
    from recalib_keras.tuning.study import Study

LARGEST_FAILURE = 3  # trials in a row that may fail before the study ends, as in keras-tuner
WORKER_LOGS = "workers"


def search(
    study: Study,
    folder: str | os.PathLike,
    data_root: str | os.PathLike,
    workers: Workers | None = None,
    overwrite: bool = False,
    show: Callable[[Search], None] | None = None,
) -> Results:
    """Runs a study. A study that was stopped continues: trials that had ended stay, all others run again.

    Args:
        study: The study.
        folder: Folder of its state and results. Workers that share this disk continue each other's trainings.
        data_root: Folder that the recipe's data folder is relative to, the same on all workers.
        workers: Where the trials run; None for this process, one after the other.
        overwrite: Whether to remove a study that the folder holds, and to start again.
        show: Shows how far the study is; called regularly with the `Search`.

    Raises:
        StudyError: The study cannot be run, or had to end early.
        RecordError: The study does not fit its recipe.
        ClusterError: The cluster cannot be reached.
        OSError: A machine fails: a full disk, missing data. What was reached is on disk.
    """
    folder, data_root = Path(folder).absolute(), Path(data_root).absolute()
    workers = dataclasses.replace(workers or Workers(), logs=folder / WORKER_LOGS)
    with open_pool(workers) as pool:
        if not workers.is_here:
            devices.hide_gpus()  # they belong to the workers
            start_backend()
        with contextlib.closing(Search(study, folder, data_root, overwrite, show)) as driver:
            driver.dashboard = pool.dashboard
            driver.on_tick()
            for done in pool.spread(run_trial, driver.tasks(), driver):
                driver.end(done)
            driver.on_tick()
            results = driver.results()
    from recalib_keras.tuning.reporting.report import write_report  # here, since it loads Keras

    write_report(results, data_root)
    return results


class Search(Listener):
    """A study while it runs. It alone writes to the study's state; everything that matters is on disk at once.

    Args:
        study: See `search`.
        folder: See `search`.
        data_root: See `search`.
        overwrite: See `search`.
        show: See `search`.

    Attributes:
        study: The study.
        dashboard: Address of Dask's own page of the workers, or None.
    """

    def __init__(
        self,
        study: Study,
        folder: Path,
        data_root: Path,
        overwrite: bool = False,
        show: Callable[[Search], None] | None = None,
    ):
        from recalib_keras.tuning.plan import Plan
        from recalib_keras.tuning.reporting.results import history
        from recalib_keras.tuning.trials.ledger import Ledger  # here, since keras-tuner takes seconds to load

        self.study, self.plan = study, Plan(study)
        self.dashboard: str | None = None
        self._ledger = Ledger(self.plan, folder, overwrite)
        self._places = {"folder": str(folder), "data_root": str(data_root)}
        self._show, self._progress, self._failures = show, {}, 0
        self._pruner, self._hopeless = Pruner(study.pruning, study.factor), {}
        for trial in self._ledger.trials.values():
            self._pruner.note(trial.id, history(folder, trial))

    def tasks(self) -> Iterator[dict[str, Any] | None]:
        """Yields what a worker needs to know of each trial; None while there is none."""
        while not self._ledger.is_complete:
            try:
                trial = self._ledger.next()
            except (StudyError, OSError, ValueError):
                raise
            except Exception as error:
                raise StudyError(
                    expected="the search to draw trials",
                    received=f"{type(error).__name__}: {error}",
                    remedy="please report it",
                ) from error
            if trial is not None:
                yield {**self.plan.task(trial), **self._places}
            elif not self._ledger.is_complete:
                yield None

    def on_start(self, task: dict[str, Any], worker: str) -> None:
        """See `Listener`."""
        trial = self._trial(task)
        trial.attempt, trial.worker = trial.attempt + 1, worker
        self._ledger.save()

    def on_loss(self, task: dict[str, Any]) -> None:
        """See `Listener`."""
        self._trial(task).losses += 1
        self._progress.pop(task["trial"], None)
        self._ledger.save()

    def on_report(self, task: dict[str, Any], report: dict[str, Any]) -> bool:
        """See `Listener`."""
        trial = task["trial"]
        self._progress[trial] = report
        why = self._pruner.judge(trial, report["seed"], report["epoch"], report["last"])
        if why:
            self._hopeless.setdefault(trial, why)
        return trial not in self._hopeless

    def on_tick(self) -> None:
        """See `Listener`."""
        if self._show is not None:
            self._show(self)

    def end(self, done: Done) -> None:
        """Notes the end of a trial.

        Args:
            done: What became of it.

        Raises:
            StudyError: Too many trials in a row have failed.
            Exception: What the worker raised, if the trial is not to blame.
        """
        trial = self._trial(done.item)
        if done.is_lost:
            message = f"its worker died; {MOST_LOSSES} workers were lost in this trial"
            self._ledger.end(trial, {"status": FAILED, "message": message})
        elif done.error is not None:
            raise done.error
        else:
            why = self._hopeless.get(trial.id) if done.result["status"] == PRUNED else None
            self._ledger.end(trial, {**done.result, "message": why or done.result.get("message", "")})
        self._progress.pop(trial.id, None)
        if not done.item["keep_checkpoints"]:
            self._ledger.remove_checkpoints(trial)
        self._failures = self._failures + 1 if trial.status == FAILED else 0
        if self._failures == LARGEST_FAILURE:
            raise StudyError(
                expected="trials that can be trained",
                received=f"{LARGEST_FAILURE} failures in a row, the last ({trial.id}): {trial.message}",
                remedy="correct the study",
            )

    def close(self) -> None:
        """Gives the trials back that still run, and releases the folder."""
        self._ledger.close()

    @property
    def ended(self) -> int:
        """Number of trials that have ended."""
        return sum(trial.status in ENDED for trial in self._ledger.trials.values())

    def results(self) -> Results:
        """Returns the `Results` so far."""
        from recalib_keras.tuning.reporting.results import Results

        return Results(self._ledger.folder, self.plan, list(self._ledger.trials.values()))

    def snapshot(self) -> tuple[list[tuple[Trial, dict[str, Any] | None]], int | None]:
        """Returns the trials, each with its progress or None, and how many there will be, or None."""
        pairs = [(trial, self._progress.get(trial.id)) for trial in self._ledger.trials.values()]
        return pairs, self._ledger.number_of_trials

    def _trial(self, task):
        return self._ledger.trials[task["trial"]]
