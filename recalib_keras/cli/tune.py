"""recalib tune: search for a better recipe, on one device, on several, or on a cluster."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recalib_keras.cli.options import add_data_argument, add_worker_arguments, workers_of
from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import printable

if TYPE_CHECKING:
    from recalib_keras.tuning.driver import Search

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
        "--overwrite",
        action="store_true",
        help="remove the study in the output folder and start again; otherwise it continues",
    )
    parser.add_argument("--report", action="store_true", help="run nothing; write the results of the study so far")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="copy the small results to FOLDER/NAME")
    add_worker_arguments(parser, "trials")


def run(arguments: argparse.Namespace) -> int:
    """Runs the study, or writes its report, and prints where the results are.

    Args:
        arguments: The parsed arguments of the command.

    Returns:
        The exit code: 1 if no trial is complete.
    """
    workers = workers_of(arguments)
    if arguments.report and (arguments.overwrite or not workers.is_here):
        raise ValueError("expected --report alone, since it runs nothing, got workers or --overwrite too; remove them")
    from recalib_keras.tuning.study import Study

    study = Study.read(arguments.study)
    folder = arguments.output or Path("runs") / study.name
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with _Display(study) as display:
            results = _results(arguments, study, folder, workers, display.show)
    finally:
        signal.signal(signal.SIGTERM, before)
    _print_summary(results, folder)
    if arguments.publish:
        from recalib_keras.tuning.reporting.report import publish

        print(printable(f"small results copied to {publish(results, arguments.publish)}"))
    return 0 if results.best is not None else 1


def _results(arguments, study, folder, workers, show):
    """Returns the results of the study, after running it as the arguments say."""
    if arguments.report:
        return _reported(study, folder, arguments.data)
    from recalib_keras.tuning.driver import search

    if workers.is_here:
        start_backend(arguments.threads)
    return search(study, folder, arguments.data, workers, overwrite=arguments.overwrite, show=show)


def _reported(study, folder, data_root):
    from recalib_keras.core.spreading.devices import hide_gpus

    hide_gpus()
    start_backend(threads=1)
    from recalib_keras.tuning.reporting.report import write_report
    from recalib_keras.tuning.reporting.results import read_results

    results = read_results(study, folder)
    write_report(results, data_root)
    return results


def _end(*_):
    """Ends this process on SIGTERM as on Ctrl-C: workers are stopped, their trials wait for the next start."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(TERMINATED)


def _print_summary(results, folder):
    ended = sum(trial.status in ("completed", "pruned", "failed") for trial in results.trials)
    best = results.best
    if best is None:
        print(printable(f"{ended} trials, none complete; see {folder / 'trials.csv'}"))
        return
    from recalib_keras.tuning.reporting.display import values

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

    def show(self, search: Search) -> None:
        """Shows the progress of the study.

        Args:
            search: The search.
        """
        from recalib_keras.tuning.reporting.display import Lines, table

        trials, total = search.snapshot()
        if self._lines is None and search.dashboard:
            print(f"the workers at a glance: {search.dashboard}", flush=True)
        self._lines = self._lines or Lines()
        lines = self._lines.new(trials)
        if self._live is None:
            for line in lines:
                print(line, flush=True)
            return
        self._live.update(table(self.study, trials, total, time.monotonic() - self.start), refresh=True)
