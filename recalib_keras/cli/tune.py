"""recalib tune: search for a better recipe, on one device, on several, or on a cluster."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recalib_keras.cli.options import add_data_argument
from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import printable

if TYPE_CHECKING:
    from recalib_keras.tuning.chief import Chief

DEFAULT_ADDRESS = "127.0.0.1:8765"
TERMINATED = 143  # the exit code of a process that SIGTERM ends


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: The parser of the command.
    """
    parser.add_argument("study", type=Path, metavar="STUDY.toml", help="what to vary, and how to search")
    parser.add_argument("-o", "--output", type=Path, help="folder of the study; default: runs/NAME")
    add_data_argument(parser)
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="start N workers, a GPU or a share of the cores each"
    )
    parser.add_argument("--threads", type=_positive, metavar="N", help="CPU threads of each worker; default: its share")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the study in the output folder and start again; otherwise it continues",
    )
    parser.add_argument("--report", action="store_true", help="run nothing; write the results of the study so far")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="copy the small results to FOLDER/NAME")
    cluster = parser.add_argument_group("cluster", "one chief and any number of workers, with the same study file")
    cluster.add_argument("--role", choices=("chief", "worker"), help="give out the trials, or run them")
    cluster.add_argument(
        "--oracle",
        default=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help="address of the chief; the channel is not encrypted (default: %(default)s)",
    )
    cluster.add_argument(
        "--wait",
        type=_seconds,
        default=300.0,
        metavar="S",
        help="seconds that a worker waits for a chief that does not answer (default: 300)",
    )
    cluster.add_argument(
        "--lease",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="seconds without a report after which a worker's trial is given to another (default: 60)",
    )
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--ends-with-parent", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Runs the study, or a part of it, and prints where the results are.

    Args:
        arguments: The parsed arguments of the command.

    Returns:
        The exit code: 1 if no trial is complete, or the chief ended the study early.
    """
    _check(arguments)
    from recalib_keras.tuning.study import Study

    study = Study.read(arguments.study)
    folder = arguments.output or Path("runs") / study.name
    before = signal.signal(signal.SIGTERM, _end)
    try:
        return _work(arguments, study, folder) if arguments.role == "worker" else _lead(arguments, study, folder)
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(arguments):
    if arguments.role and arguments.workers:
        raise ValueError(
            "expected --workers, or --role on a cluster, got both; remove one: --workers starts its own chief"
        )
    if arguments.role == "worker" and (arguments.overwrite or arguments.report or arguments.publish):
        raise ValueError(
            "expected --overwrite, --report and --publish for the chief only, got them for a worker; remove them"
        )
    if arguments.report and (arguments.role or arguments.workers or arguments.overwrite):
        raise ValueError(
            "expected --report alone, since it runs nothing, got --role, --workers or --overwrite too; remove them"
        )


def _lead(arguments, study, folder):
    """Runs the study as its chief, or writes its report; returns 1 if no trial is complete."""
    with _Display(study) as display:
        results = _results(arguments, study, folder, display.show)
    _print_summary(results, folder)
    if arguments.publish:
        from recalib_keras.tuning.reporting.report import publish

        print(printable(f"small results copied to {publish(results, arguments.publish)}"))
    return 0 if results.best is not None else 1


def _results(arguments, study, folder, show):
    """Returns the results of the study, after running it as the arguments say."""
    from recalib_keras.tuning import launching

    options = {"overwrite": arguments.overwrite, "show": show}
    if arguments.report:
        return _reported(study, folder, arguments.data)
    if arguments.role == "chief":
        _start_light()
        print(f"chief of {study.name}, at {arguments.oracle}", flush=True)
        return launching.serve(study, folder, arguments.oracle, lease=arguments.lease, **options)
    if arguments.workers:
        return launching.launch(
            study,
            arguments.study,
            folder,
            arguments.data,
            arguments.workers,
            threads=arguments.threads,
            lease=arguments.lease,
            prepare=_start_light,
            **options,
        )
    start_backend(arguments.threads)
    return launching.search(study, folder, arguments.data, **options)


def _reported(study, folder, data_root):
    _start_light()
    from recalib_keras.tuning.reporting.report import write_report
    from recalib_keras.tuning.results import read_results

    results = read_results(study, folder)
    write_report(results, data_root)
    return results


def _work(arguments, study, folder):
    """Runs trials for a chief; returns 1 if the study ended early."""
    if arguments.ends_with_parent:
        from recalib_keras.tuning.crew import end_with_parent

        end_with_parent()
    from recalib_keras.tuning.service import RemoteChief
    from recalib_keras.tuning.worker import work

    chief = RemoteChief(arguments.oracle, arguments.wait)
    name = arguments.name or f"{socket.gethostname()}-{os.getpid()}"
    start_backend(arguments.threads)
    with contextlib.closing(chief):
        why = work(chief, study.fingerprint, name, folder, arguments.data)
    print(f"the study ended early: {why}" if why else "the study is complete", flush=True)
    return 1 if why else 0


def _start_light():
    """Starts a process that trains nothing and leaves the GPUs to the workers."""
    from recalib_keras.tuning.devices import GPUS

    os.environ[GPUS] = "-1"
    start_backend(threads=1)


def _end(*_):
    """Ends this process on SIGTERM as on Ctrl-C: trials are given back and workers are stopped."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(TERMINATED)


def _print_summary(results, folder):
    ended = sum(trial.status in ("completed", "pruned", "failed") for trial in results.trials)
    best = results.best
    if best is None:
        print(printable(f"{ended} trials, none complete; see {folder / 'trials.csv'}"))
        return
    from recalib_keras.tuning.display import values

    print(f"{ended} trials; best {best.score:.4f} (trial {best.id}): {values(best)}")
    print(printable(f"results in {folder}: report.md, trials.csv, best.toml, figures, tensorboard"))


class _Display:
    """Shows the study: a live table on a terminal, otherwise a line for each trial that begins or ends."""

    def __init__(self, study):
        self.study, self.start, self._live, self._lines = study, time.monotonic(), None, None

    def __enter__(self):
        if sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_):
        if self._live is not None:
            self._live.stop()

    def show(self, chief: Chief) -> None:
        """Shows the progress of the chief's study.

        Args:
            chief: The chief.
        """
        from recalib_keras.tuning.display import Lines, table

        trials, total = chief.snapshot()
        self._lines = self._lines or Lines()
        lines = self._lines.new(trials)
        if self._live is None:
            for line in lines:
                print(line, flush=True)
            return
        self._live.update(table(self.study, trials, total, time.monotonic() - self.start), refresh=True)


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _seconds(text):
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text}")
    return number
