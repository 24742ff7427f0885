"""The worker processes of one host: started, watched, replaced and stopped."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.devices import share

GRACE = 10.0  # seconds that a worker has to end by itself
MOST_DEATHS = 3  # times in a row that a worker may die before the study is given up
PROGRAM = [sys.executable, "-m", "recalib_keras.cli.main"]
BAD_INPUT = 2  # exit code of a worker that says what is wrong


@dataclass
class Member:
    """A place in the crew, and the process that fills it.

    Args:
        name: of the worker, and of its log.
        command: list of words.
        environment: dict of all its environment variables.
        log: path.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen | None = None
    deaths: int = 0
    progress: int = 0

    def start(self) -> None:
        """Starts the process, in a session of its own: Ctrl-C reaches the chief alone, who then stops it.

        Its standard input is a pipe that nothing is written to; it ends when this process does, however that dies.
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

    def signal(self, number) -> None:
        """Sends a signal to the process and all that it has started."""
        if self.process is not None and self.process.poll() is None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass

    def last_words(self):
        """Returns the last line of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class Crew:
    """The workers of one host.

    Args:
        command: function from `(name, threads)` to the words that start a worker.
        workers: how many.
        folder: path for their logs.
        threads: CPU threads of each; None for an equal part of the cores.
    """

    def __init__(self, command, workers, folder, threads=None):
        self.members = []
        for index, (variables, own_threads) in enumerate(share(workers, threads), start=1):
            name = f"worker-{index}"
            log = Path(folder) / f"{name}.log"
            self.members.append(Member(name, command(name, own_threads), {**os.environ, **variables}, log))

    def start(self) -> None:
        """Starts all."""
        for member in self.members:
            member.start()

    def replace_dead(self, on_death, progress) -> None:
        """Starts anew whoever has died.

        Args:
            on_death: function called with the name of each before it is replaced.
            progress: function that returns how many trials have ended.

        Raises:
            StudyError: if one says that it cannot work here, or dies again and again without any progress.
        """
        for member in self.members:
            if member.process.poll() in (None, 0):  # at work, or sent home
                continue
            code = member.process.returncode
            on_death(member.name)
            if code == BAD_INPUT:
                raise StudyError(f"{member.name} cannot go on: {member.last_words()}")
            if progress() > member.progress:
                member.progress, member.deaths = progress(), 0
            member.deaths += 1
            if member.deaths == MOST_DEATHS:
                raise StudyError(
                    f"{member.name} died {member.deaths} times while no trial ended ({_in_words(code)}); its last "
                    f"words: {member.last_words()}; see {member.log}"
                )
            member.process.stdin.close()
            member.start()

    def stop(self, grace=GRACE, at_once=False) -> None:
        """Waits for all to end, tells those to who do not, and kills whoever stays.

        Args:
            grace: seconds for each of the first two steps.
            at_once: whether to leave the first out.
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


def worker_command(study_path, folder, data_root, address, patience):
    """Returns the function that a `Crew` takes its commands from: `recalib tune --role worker`.

    Args:
        study_path, folder, data_root: as for the command.
        address: of the chief.
        patience: seconds after which a worker gives up a silent chief.
    """

    def command(name, threads):
        words = [*PROGRAM, "tune", study_path, "--output", folder, "--data", data_root]
        words += ["--role", "worker", "--oracle", address, "--wait", patience, "--name", name, "--ends-with-parent"]
        return [str(word) for word in [*words, *(["--threads", threads] if threads else [])]]

    return command


def end_with_parent() -> None:
    """Ends this process as soon as its standard input ends, which a dead parent no longer holds open."""
    import threading

    def watch():
        while os.read(0, 1):  # not through sys.stdin, whose lock the interpreter wants back when it ends
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch over the parent").start()


def _in_words(code):
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
