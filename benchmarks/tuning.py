"""Measures the gain by workers and the cost of the launcher: `python -m benchmarks.tuning [--trials 24] [--quick]`.

The same study runs with keras-tuner alone in one process, with `recalib tune` in one process, and with `recalib tune
--workers` 1 and 2. Its trials are real but small trainings of about six seconds on one core, on scans that this script
makes. Each worker has one core, which it shares with the process that draws the trials. A time is that of the whole
command, start-up included. The four ways take turns; all rounds take half an hour.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import timing

RECIPE = """
preset = "unet3d"
weights = "balls"
title = "balls with a core"
labels = [{ id = 0, name = "background" }, { id = 1, name = "shell" }, { id = 2, name = "core" }]

[network]
architecture = "UNet"
arguments = { levels = 1, filters = 8, normalization = "batch" }

[input]
window = [24, 24, 24]

[data]
folder = "balls"
source = "scans made by the benchmark"
licence = "CC0"
validate_every = 4

[optimizer]
learning_rate = 0.01

[schedule]
epochs = 1
batch_size = 4
steps_per_epoch = 20
"""
STUDY = """
recipe = "recipe.toml"
algorithm = "random"
trials = {trials}

[space]
learning_rate = {{ min = 1e-3, max = 1e-2, scale = "log" }}
"""
COLUMNS = ("how", "workers", "cores", "seconds", "min", "max", "of one worker", "of keras-tuner alone")


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="two trials, once, only to check that it runs")
    parser.add_argument("--alone", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    trials, repeats = (2, 1) if arguments.quick else (arguments.trials, arguments.repeats)
    if arguments.alone:
        _keras_tuner_alone(arguments.alone, trials)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure(Path(folder), trials, repeats)
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("tuning", rows))


def _measure(folder, trials, repeats):
    write_scans(folder / "balls", count=16)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "study.toml").write_text(STUDY.format(trials=trials))
    tune = ["-m", "recalib_keras.cli.main", "tune", folder / "study.toml", "--data", folder, "--overwrite"]
    alone = ["-m", "benchmarks.tuning", "--alone", folder, "--trials", trials]
    ways = {
        ("keras-tuner alone", 1, 1): alone,
        ("recalib tune", 1, 1): [*tune, "--threads", 1, "-o", folder / "here"],
        ("recalib tune --workers 1", 1, 1): [*tune, "--threads", 1, "--workers", 1, "-o", folder / "one"],
        ("recalib tune --workers 2", 2, 2): [*tune, "--threads", 1, "--workers", 2, "-o", folder / "two"],
    }
    candidates = {way: lambda words=words, cores=way[2]: _run(words, cores) for way, words in ways.items()}
    seconds = timing.alternate(candidates, repeats=repeats, warm_up=0)
    medians = {way[0]: value["median"] for way, value in seconds.items()}
    return [
        {
            "how": way[0],
            "workers": way[1],
            "cores": way[2],
            "seconds": value["median"],
            "min": value["min"],
            "max": value["max"],
            "of one worker": value["median"] / medians["recalib tune --workers 1"],
            "of keras-tuner alone": value["median"] / medians["keras-tuner alone"],
        }
        for way, value in seconds.items()
    ]


def _run(words, cores):
    """Runs a command on the first few of the cores that this process may use."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    subprocess.run(
        [sys.executable, *map(str, words)],
        check=True,
        capture_output=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
    )


def _keras_tuner_alone(folder, trials):
    """Runs the same trainings without this package: with a tuner of keras-tuner in this process."""
    from recalib_keras.core.backend import start_backend

    start_backend(1)
    import keras_tuner
    from keras_tuner.engine.base_tuner import BaseTuner

    from recalib_keras.training.recipe import read_toml
    from recalib_keras.tuning.trials.execution import execute

    class Tuner(BaseTuner):
        def run_trial(self, trial):
            recipe = read_toml(folder / "recipe.toml")
            recipe["optimizer"]["learning_rate"] = trial.hyperparameters.get("learning_rate")
            task = {"trial": trial.trial_id, "recipe": recipe, "objective": "dice", "patience": 0}
            task["epochs"] = recipe["schedule"]["epochs"]
            run = Path(self.get_trial_dir(trial.trial_id)) / "run"
            return {"dice": execute(task, 0, run, folder, on_line=lambda line: None)["execution"]["score"]}

    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Float("learning_rate", 1e-3, 1e-2, sampling="log")
    oracle = keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective("dice", "max"), trials, seed=1, hyperparameters=hyperparameters
    )
    oracle.verbose = 0
    Tuner(oracle, directory=str(folder), project_name=f"alone-{time.time_ns()}").search()


def write_scans(folder: Path, count: int) -> None:
    """Writes noisy scans of a ball with a brighter core, at a random place in a box, and their label maps."""
    import nibabel as nib

    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        centre = rng.uniform(10, 18, 3)[:, None, None, None]
        distance = np.linalg.norm(np.indices((28, 28, 28)) - centre, axis=0)
        labels = np.select([distance < 4, distance < 8], [2, 1], 0).astype("uint8")
        image = (labels + rng.normal(0, 0.3, labels.shape)).astype("float32")
        for part, array in (("imagesTr", image), ("labelsTr", labels)):
            nib.save(nib.Nifti1Image(array, np.diag([-1, 1, 1, 1])), folder / part / f"ball_{index:02d}.nii.gz")


if __name__ == "__main__":
    main()
