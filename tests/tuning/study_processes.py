"""Helpers that control the processes of a study, and look at them."""

import json
import time
from pathlib import Path

RATES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)  # of the tiny study's trials
LONGEST = 240  # seconds that a step may take; much more than it needs


def finish(process):
    """Waits for a process to end; returns its exit code and its output."""
    code = process.wait(LONGEST)
    return code, process.log.read_text()


def wait_for(condition, what):
    """Waits until a function returns something true, and returns that."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"expected {what} within {LONGEST} s, got none")


def hold(control, trial, epoch):
    """Lets the worker that begins an epoch of a trial wait."""
    (control / "hold").write_text(f"{trial} {epoch}")


def wait_until_held(control, trial):
    """Returns the process id of the worker that waits in a trial."""
    path = control / f"held-{trial}"
    return int(wait_for(lambda: path.exists() and path.read_text(), f"a worker in trial {trial}"))


def release(control):
    """Lets all workers continue."""
    (control / "hold").unlink()
    for path in control.glob("held-*"):
        path.unlink()


def trials_of(folder):
    """Returns the trials of a study's state file, by id."""
    path = folder / "state.json"
    return {trial["id"]: trial for trial in json.loads(path.read_text())["trials"]} if path.exists() else {}


def ended(folder):
    """Returns the trials that are complete, by id."""
    return {name: trial for name, trial in trials_of(folder).items() if trial["status"] == "completed"}


def epochs_trained(control):
    """Returns a `(trial, seed, epoch)` for each epoch that was trained, in order."""
    return [tuple(line.split()) for line in (control / "executed.txt").read_text().splitlines()]


def is_alive(pid):
    """Returns whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers_of(process):
    """Returns the ids of the worker processes that a command has started."""
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    children = [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    return [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
