"""Run a study: in this process, with workers of its own on this host, or as the chief of a cluster."""

import contextlib
import signal
import threading
from pathlib import Path

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.crew import Crew, worker_command
from recalib_keras.tuning.service import Door
from recalib_keras.tuning.worker import work

LEASE = 60.0  # seconds without a sign of life after which a worker's trial is given to another
TICK = 0.2  # seconds between two looks after workers and leases
REFRESH = 0.5  # seconds between two looks at what is shown
LAST_LOOK = 5.0  # seconds that the last of these may take
PATIENCE = 600.0  # seconds for which the workers of this host bear with a chief that thinks; they end with it anyway
WORKER_LOGS = "workers"


def search(study, folder, data_root, overwrite=False, show=None):
    """Runs a study in this process, one trial after the other, and goes on where an earlier run was stopped.

    Args:
        study: `Study`.
        folder: path of its state and results.
        data_root: path that the recipe's data folder is relative to.
        overwrite: whether to begin anew if the folder holds the study already.
        show: function of the `Chief` that shows how far the study is; called every now and then, in a thread of its
            own.

    Returns:
        `Results`.

    Raises:
        StudyError: if the study cannot be run, or has been given up.
        RecordError: if the study does not fit its recipe.
        OSError, WriteError: if the machine fails it: a full disk, missing data. What was reached is on disk.
    """
    with _chief(study, folder, LEASE, False, overwrite) as chief:
        with _shown(chief, show):
            work(chief, study.fingerprint, "this process", folder, data_root)
        return _finish(chief, data_root)


def launch(
    study,
    path,
    folder,
    data_root,
    workers,
    threads=None,
    overwrite=False,
    show=None,
    lease=LEASE,
    prepare=None,
):
    """Runs a study with workers of its own on this host, each with a GPU or a share of the cores.

    Workers that die are replaced, and their trials run again. All end with this process, however it ends.

    Args:
        study, folder, data_root, overwrite, show: as for `search`.
        path: of the study's file.
        workers: how many.
        threads: CPU threads of each; None for an equal part of the cores.
        lease: seconds without a sign of life after which a worker's trial is given to another.
        prepare: function called once the workers are started, before anything heavy is loaded here.

    Returns, Raises: as `search`; also StudyError if workers die again and again.
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


def serve(study, folder, address, overwrite=False, show=None, lease=LEASE):
    """Runs a study as the chief of workers that are started elsewhere, until all have been sent home.

    Args:
        study, folder, overwrite, show: as for `search`.
        address: `"HOST:PORT"` to listen on.
        lease: as for `launch`. Workers that are still at it when the chief is started again keep their trials.

    Returns, Raises: as `search`; also StudyError if the address cannot be had.
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
        thread.join(LAST_LOOK)  # not for ever: what Ctrl-C has interrupted may hold the lock that it waits for
        show(chief)


@contextlib.contextmanager
def _signals_held():
    """Holds back Ctrl-C and SIGTERM; yields a function that lets those through that have come meanwhile.

    Python raises their exceptions anywhere, also just after a lock was taken, which then stays taken for ever.
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
    let_in()  # what has come since the last look


def _finish(chief, data_root=None):
    """Returns the results, with the report written; raises what ended the study early."""
    from recalib_keras.tuning.reporting.report import write_report

    if chief.failure is not None:
        if isinstance(chief.failure, (StudyError, OSError, ValueError)):
            raise chief.failure
        raise StudyError(
            f"the search itself failed: {type(chief.failure).__name__}: {chief.failure}"
        ) from chief.failure
    results = chief.results()
    write_report(results, data_root)
    return results
