"""Processes that are killed at random moments, again and again, until what they do is done."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

# Of each command that is killed; three of them make a hundred. RECALIB_KILLS sets another number.
KILLS = int(os.environ.get("RECALIB_KILLS", "34"))
LONGEST = 900  # seconds that a process may take to begin its work, or to end; on a busy machine too


def run_and_kill(
    command: Sequence[object], log: Path, has_begun: Callable[[], bool], seconds: float, rng: np.random.Generator
) -> bool:
    """Runs a command and kills it at a random moment of its work; returns whether it was killed before its end.

    Args:
        command: Program and arguments.
        log: File for what it prints.
        has_begun: Whether its work has begun, since the process was started.
        seconds: The moment is drawn from 0 to this many seconds after that.
        rng: Source of random numbers.
    """
    with log.open("w") as out:
        process = subprocess.Popen(
            [*map(str, command)],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        )
    try:
        end = time.monotonic() + LONGEST
        while process.poll() is None and not has_begun():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.005)
        time.sleep(rng.uniform(0, seconds))
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (0, -signal.SIGKILL), log.read_text()
    return process.returncode != 0


def finish(command: Sequence[object], log: Path) -> None:
    """Runs a command to its end, without a disturbance.

    Args:
        command: Program and arguments.
        log: File for what it prints.
    """
    with log.open("w") as out:
        done = subprocess.run([*map(str, command)], stdout=out, stderr=subprocess.STDOUT, timeout=LONGEST)
    assert done.returncode == 0, log.read_text()
