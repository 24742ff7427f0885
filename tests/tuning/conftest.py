"""A tiny study, and processes that run it."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from study_processes import RATES
from training.synthetic import write_recipe

from recalib_keras.core.records import from_mapping
from recalib_keras.tuning.study import Study

COMMAND = Path(__file__).parent / "recalib.py"
STUDY = """
recipe = "balls.toml"
algorithm = "grid"
seeds = [1, 2]
epochs = 3

[space]
learning_rate = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
"""


@pytest.fixture(scope="session")
def recipe_folder(tmp_path_factory):
    """A folder with the recipe of a tiny set, `balls.toml`."""
    folder = tmp_path_factory.mktemp("studies")
    write_recipe(folder / "balls.toml")
    return folder


@pytest.fixture
def study_path(recipe_folder):
    """The file of a study of six trials."""
    path = recipe_folder / "rates.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def make_study(recipe_folder):
    """Returns a function that makes a study of the tiny recipe from the keys of a study file."""

    def make(space=None, **keys):
        if "preset" not in keys:
            keys.setdefault("recipe", str(recipe_folder / "balls.toml"))
        return from_mapping(Study, {"space": space or {"learning_rate": [*RATES]}, **keys}, "study")

    return make


@pytest.fixture
def control(tmp_path):
    """The folder whose files control the fake trainings; see `recalib.py`."""
    folder = tmp_path / "control"
    folder.mkdir()
    return folder


@pytest.fixture
def start(tmp_path):
    """Starts processes that do not outlive the test; each gets a session and a log of its own."""
    started = []

    def start(*command, before=lambda: None):
        def prepare():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a background job of a shell ignores
            before()

        log = (tmp_path / f"log-{len(started)}.txt").open("w+")
        process = subprocess.Popen(
            [*map(str, command)],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=prepare,
            start_new_session=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        )
        process.log = Path(log.name)
        started.append((process, log))
        return process

    yield start
    for process, log in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


@pytest.fixture
def recalib_tune(start, study_path, control, tmp_path):
    """Starts `recalib tune` with fake trainings."""

    def tune(*words, output=tmp_path / "out", **options):
        command = [sys.executable, COMMAND, "tune", study_path, "-o", output, "--data", control, *words]
        return start(*command, **options)

    return tune


@pytest.fixture
def cluster(start, tmp_path):
    """Starts the scheduler of a Dask cluster, or a worker of it whose trainings are fake."""
    module = {"scheduler": "distributed.cli.dask_scheduler", "worker": "distributed.cli.dask_worker"}
    options = {
        "scheduler": ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"],
        "worker": ["--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--local-directory", tmp_path],
    }

    def start_one(role, file, *words):
        words = [*options[role], "--scheduler-file", file, *words]
        return start(sys.executable, "-m", module[role], *words, *(["--preload", COMMAND] if role == "worker" else []))

    return start_one
