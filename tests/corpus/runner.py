"""Runs cases in worker processes that are limited in time and memory, and ended if they hang."""

import contextlib
import importlib
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from .cases import Case

SECONDS = 5.0  # of computing, or of waiting on an idle machine
PATIENCE = 6  # a case may take this many times longer where the processor is busy with other work
MEMORY = 2 * 2**30  # beyond what a worker has before its first case
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Args:
        kind: Its kind.
        name: Its name.
        status: `"read"`, `"refused"` or `"failed"`.
        why: In words.
        seconds: How long it took.
    """

    kind: str
    name: str
    status: str
    why: str
    seconds: float


def run(cases: list[tuple[str, Case]], workers: int = 2) -> Iterator[Outcome]:
    """Yields what came of each case, in the order in which they end.

    Args:
        cases: Pairs of kind and case.
        workers: How many processes.
    """
    importlib.import_module(f"{__package__}.readers")  # before the workers are forked, so that they need not load it
    context = multiprocessing.get_context("fork")
    waiting = list(range(len(cases)))[::-1]
    crew = [_Worker(context, cases) for _ in range(workers)]
    try:
        while waiting or any(worker.case is not None for worker in crew):
            for worker in crew:
                if worker.case is None and waiting:
                    worker.give(waiting.pop())
            wait([worker.pipe for worker in crew if worker.case is not None], timeout=0.2)
            for place, worker in enumerate(crew):
                outcome = worker.outcome()
                if outcome is not None:
                    yield outcome
                    if not worker.process.is_alive() or worker.is_lost:
                        worker.end()
                        crew[place] = _Worker(context, cases)
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    """A process that runs one case after the other."""

    def __init__(self, context, cases):
        self.pipe, theirs = context.Pipe()
        self.cases, self.case, self.is_lost = cases, None, False
        self.process = context.Process(target=_work, args=(theirs, cases), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, case):
        self.case, self.start, self.computed = case, time.monotonic(), self._computed()
        self.pipe.send(case)

    def outcome(self):
        """Returns the outcome of the worker's case once it is known; ends the worker if the case hangs."""
        if self.case is None:
            return None
        seconds = time.monotonic() - self.start
        try:
            if self.pipe.poll():
                status, why, seconds = self.pipe.recv()
            elif self._computed() - self.computed > SECONDS or seconds > SECONDS * PATIENCE:
                self.is_lost = True
                status, why = "failed", f"hangs: over {SECONDS:g} s"
            else:
                return None
        except (EOFError, ConnectionError):
            self.is_lost = True
            status, why = "failed", "the process ended by itself"
        kind, case = self.cases[self.case]
        self.case = None
        return Outcome(kind, case.name, status, why, seconds)

    def _computed(self):
        """Returns how many seconds the process has computed so far."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / TICKS
        except (OSError, IndexError):
            return 0.0

    def end(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe, cases):
    from . import readers

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    while True:
        try:
            _, case = cases[pipe.recv()]
        except EOFError:
            return
        folder = Path(tempfile.mkdtemp(prefix="corpus-"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                path = case.write(folder)
            start = time.monotonic()
            status, why = readers.read(case, path)
            pipe.send((status, why, time.monotonic() - start))
        except Exception as error:  # the generator itself is wrong
            pipe.send(("failed", f"cannot be written: {type(error).__name__}: {error}", 0.0))
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)
