"""Runs a study: in this process, with workers of its own on this host, or as the chief of a cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.crew import Crew, worker_command
from recalib_keras.tuning.service import Door
from recalib_keras.tuning.worker import work

if TYPE_CHECKING:
    from recalib_keras.tuning.chief import Chief
    from recalib_keras.tuning.results import Results
    from recalib_keras.tuning.study import Study

LEASE = 60.0  # seconds without a report after which a worker's trial is given to another
TICK = 0.2  # seconds between two checks of workers and leases
REFRESH = 0.5  # seconds between two updates of the display
LAST_LOOK = 5.0  # seconds that the last update may take
PATIENCE = 600.0  # seconds for which the workers of this host wait for a chief that computes; they end with it anyway
WORKER_LOGS = "workers"


def search(
    study: Study,
    folder: str | os.PathLike,
    data_root: str | os.PathLike,
    overwrite: bool = False,
    show: Callable[[Chief], None] | None = None,
) -> Results:
    """Runs a study in this process, one trial after the other. A study that was stopped continues.

    Args:
        study: The study.
        folder: Folder of its state and results.
        data_root: Folder that the recipe's data folder is relative to.
        overwrite: Whether to start again if the folder holds a study.
        show: Shows how far the study is; called regularly with the `Chief`, in a thread of its own.

    Raises:
        StudyError: The study cannot be run, or had to end early.
        RecordError: The study does not fit its recipe.
        OSError: The machine fails: a full disk, missing data. What was reached is on disk.
    """
    with _chief(study, folder, LEASE, False, overwrite) as chief:
        with _shown(chief, show):
            work(chief, study.fingerprint, "this process", folder, data_root)
        return _finish(chief, data_root)


def launch(
    study: Study,
    path: str | os.PathLike,
    folder: str | os.PathLike,
    data_root: str | os.PathLike,
    workers: int,
    threads: int | None = None,
    overwrite: bool = False,
    show: Callable[[Chief], None] | None = None,
    lease: float = LEASE,
    prepare: Callable[[], None] | None = None,
) -> Results:
    """Runs a study with workers of its own on this host, each with a GPU or a share of the cores.

    Workers that die are replaced, and their trials run again. All workers end with this process, however it ends.

    Args:
        study: See `search`.
        path: The study's file.
        folder: See `search`.
        data_root: See `search`.
        workers: Number of workers.
        threads: CPU threads of each; None for an equal part of the cores.
        overwrite: See `search`.
        show: See `search`.
        lease: Seconds without a report after which a worker's trial is given to another.
        prepare: Called once the workers are started, before anything heavy is loaded here.

    Raises:
        StudyError: See `search`; also if workers die several times in a row.
        RecordError: See `search`.
        OSError: See `search`.
    """
    door = Door("127.0.0.1:0")
    command = worker_command(path, folder, data_root, door.address, PATIENCE)
    crew = Crew(command, workers, Path(folder) / WORKER_LOGS, threads)
    try:
        crew.start()  # they load their libraries while the chief does
        if prepare is not None:
            prepare()
        with _chief(study, folder, lease, False, overwrite) as chief, _signals_held() as let_signals_in:
            door.open(chief)
            with _shown(chief, show):
                while not chief.is_over:
                    let_signals_in()
                    chief.wait(TICK)
                    chief.look()
                    crew.replace_dead(on_death=chief.lost, progress=lambda: chief.ended)
                crew.stop()
            return _finish(chief, data_root)
    finally:
        crew.stop(at_once=True)
        door.close()


def serve(
    study: Study,
    folder: str | os.PathLike,
    address: str,
    overwrite: bool = False,
    show: Callable[[Chief], None] | None = None,
    lease: float = LEASE,
) -> Results:
    """Runs a study as the chief of workers that are started elsewhere, until all were told to stop.

    Args:
        study: See `search`.
        folder: See `search`.
        address: `"HOST:PORT"` to listen on.
        overwrite: See `search`.
        show: See `search`.
        lease: See `launch`. Workers that still run when the chief is restarted keep their trials.

    Raises:
        StudyError: See `search`; also if the address cannot be used.
        RecordError: See `search`.
        OSError: See `search`.
    """
    door = Door(address)
    try:
        with _chief(study, folder, lease, True, overwrite) as chief, _signals_held() as let_signals_in:
            door.open(chief)
            with _shown(chief, show):
                while not chief.is_over or chief.workers:
                    let_signals_in()
                    chief.wait(TICK)
                    chief.look()
            return _finish(chief)
    finally:
        door.close()


@contextlib.contextmanager
def _chief(study, folder, lease, keep_leases, overwrite):
    from recalib_keras.tuning.chief import Chief  # here, since keras-tuner takes seconds to load

    chief = Chief(study, folder, lease, keep_leases, overwrite)
    try:
        yield chief
    finally:
        chief.close()


@contextlib.contextmanager
def _shown(chief, show):
    """Shows the study from a thread of its own, and once more at the end."""
    if show is None:
        yield
        return
    done = threading.Event()

    def watch():
        while not done.wait(REFRESH):
            show(chief)

    thread = threading.Thread(target=watch, daemon=True, name="show")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(LAST_LOOK)  # with a limit: what Ctrl-C has interrupted may hold the lock that the thread waits for
        show(chief)


@contextlib.contextmanager
def _signals_held():
    """Holds back Ctrl-C and SIGTERM; yields a function that handles those that have arrived meanwhile.

    Python raises their exceptions anywhere, also just after a lock was taken, which then stays taken forever.
    """
    come, handlers = [], {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda number, _: come.append(number))

    def let_in():
        for number in come:
            handlers[number](number, None)

    try:
        yield let_in
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    let_in()  # those that have arrived since the last call


def _finish(chief, data_root=None):
    """Returns the results, with the report written; raises what ended the study early."""
    from recalib_keras.tuning.reporting.report import write_report

    if chief.failure is not None:
        if isinstance(chief.failure, (StudyError, OSError, ValueError)):
            raise chief.failure
        raise StudyError(
            f"expected the search to draw trials, got {type(chief.failure).__name__}: {chief.failure}; please report it"
        ) from chief.failure
    results = chief.results()
    write_report(results, data_root)
    return results
