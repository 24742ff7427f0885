"""The worker processes of one host: starts, watches, replaces and stops them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.devices import share

GRACE = 10.0  # seconds in which a worker must end by itself
MOST_DEATHS = 3  # times in a row that a worker may die before the study ends
PROGRAM = [sys.executable, "-m", "recalib_keras.cli.main"]
BAD_INPUT = 2  # exit code of a worker that has reported an error of the input


@dataclass
class Member:
    """A place in the crew, and the process that fills it.

    Args:
        name: Name of the worker and of its log.
        command: Words of the command.
        environment: All its environment variables.
        log: Path of its log.
        process: The process, once it is started.
        deaths: How many times in a row it died while no trial ended.
        progress: How many trials had ended at its last death.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen | None = None
    deaths: int = 0
    progress: int = 0

    def start(self) -> None:
        """Starts the process in a session of its own: Ctrl-C reaches only the chief, which then stops the process.

        Its standard input is a pipe without content. The pipe closes when this process ends, however that happens.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """Sends a signal to the process and to all that it has started.

        Args:
            number: The signal.
        """
        if self.process is not None and self.process.poll() is None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass

    def last_words(self) -> str:
        """Returns the last line of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "its log is empty"


class Crew:
    """The workers of one host.

    Args:
        command: Returns the words that start a worker from its name and its number of threads, or None for all.
        workers: Number of workers.
        folder: Folder for their logs.
        threads: CPU threads of each; None for an equal part of the cores.
    """

    def __init__(
        self,
        command: Callable[[str, int | None], list[str]],
        workers: int,
        folder: str | os.PathLike,
        threads: int | None = None,
    ):
        self.members = []
        for index, (variables, own_threads) in enumerate(share(workers, threads), start=1):
            name = f"worker-{index}"
            log = Path(folder) / f"{name}.log"
            self.members.append(Member(name, command(name, own_threads), {**os.environ, **variables}, log))

    def start(self) -> None:
        """Starts all workers."""
        for member in self.members:
            member.start()

    def replace_dead(self, on_death: Callable[[str], None], progress: Callable[[], int]) -> None:
        """Restarts the workers that have died.

        Args:
            on_death: Called with the name of each before it is replaced.
            progress: Returns how many trials have ended.

        Raises:
            StudyError: A worker reports that it cannot work here, or dies several times while no trial ends.
        """
        for member in self.members:
            if member.process.poll() in (None, 0):  # at work, or told to stop
                continue
            code = member.process.returncode
            on_death(member.name)
            if code == BAD_INPUT:
                raise StudyError(f"expected {member.name} to run, got its error: {member.last_words()}")
            if progress() > member.progress:
                member.progress, member.deaths = progress(), 0
            member.deaths += 1
            if member.deaths == MOST_DEATHS:
                raise StudyError(
                    f"expected {member.name} to run, got {member.deaths} deaths in a row while no trial ended "
                    f"({_in_words(code)}); the last line of its log: {member.last_words()}; see {member.log}"
                )
            member.process.stdin.close()
            member.start()

    def stop(self, grace: float = GRACE, at_once: bool = False) -> None:
        """Waits for all workers to end, sends SIGTERM to those that do not, then SIGKILL to those that remain.

        Args:
            grace: Seconds for each of the first two steps.
            at_once: Whether to skip the first step.
        """
        started = [member for member in self.members if member.process is not None]
        if not at_once:
            self._wait(grace)
        for member in started:
            member.signal(signal.SIGTERM)
        self._wait(grace)
        for member in started:
            member.signal(signal.SIGKILL)
            member.process.wait()
            member.process.stdin.close()

    def _wait(self, seconds):
        end = time.monotonic() + seconds
        while any(member.process and member.process.poll() is None for member in self.members):
            if time.monotonic() > end:
                return
            time.sleep(0.02)


def worker_command(
    study_path: str | os.PathLike,
    folder: str | os.PathLike,
    data_root: str | os.PathLike,
    address: str,
    patience: float,
) -> Callable[[str, int | None], list[str]]:
    """Returns the function that gives a `Crew` its commands: `recalib tune --role worker`.

    Args:
        study_path: The study's file.
        folder: Folder of the study.
        data_root: Folder that the recipe's data folder is relative to.
        address: Address of the chief.
        patience: Seconds after which a worker gives up a silent chief.
    """

    def command(name, threads):
        words = [*PROGRAM, "tune", study_path, "--output", folder, "--data", data_root]
        words += ["--role", "worker", "--oracle", address, "--wait", patience, "--name", name, "--ends-with-parent"]
        return [str(word) for word in [*words, *(["--threads", threads] if threads else [])]]

    return command


def end_with_parent() -> None:
    """Ends this process as soon as its standard input closes, which a dead parent no longer holds open."""
    import threading

    def watch():
        while os.read(0, 1):  # not through sys.stdin, whose lock the interpreter needs when it ends
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch over the parent").start()


def _in_words(code):
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
