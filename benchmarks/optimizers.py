"""Compares how fast optimizers learn: `python -m benchmarks.optimizers [--recipe RECIPE.toml] [--quick]`.

Runs the same training (network, first weights, batches, schedule) with each optimizer and peak learning rate, shortened
to a few epochs; the rate falls to zero at the end. The table shows the loss after some epochs, the mean Dice on the
validation scans at the end, and the seconds of an epoch (the first one is excluded).
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import timing
from recalib_keras.training import Recipe, train
from recalib_keras.training.run.log import LOG

RECIPE = Path(__file__).parents[1] / "zoo" / "recipes" / "hippocampus" / "unet3d_pe.toml"
TRIED = (("adam", 0.004), ("adam", 0.008), ("muon", 0.01), ("muon", 0.02))


def main() -> None:
    """Trains, prints a table and writes it; trainings already in `--runs` are not repeated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=RECIPE, metavar="RECIPE.toml")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RECALIB_DATA", ".")), help="folder of data")
    parser.add_argument("--runs", type=Path, default=Path("runs/optimizers"), help="folder of the trainings")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one epoch of one step with the first optimizer, only to check that it runs",
    )
    arguments = parser.parse_args()
    recipe = Recipe.read(arguments.recipe)
    epochs, steps = (1, 1) if arguments.quick else (arguments.epochs, recipe.schedule.steps_per_epoch)
    recipe = dataclasses.replace(recipe, schedule=shortened(recipe.schedule, epochs, steps))
    tried = TRIED[:1] if arguments.quick else TRIED
    rows = [row(recipe, name, rate, arguments.runs, arguments.data) for name, rate in tried]
    timing.show(rows, tuple(rows[0]))
    if not arguments.quick:
        print("written to", timing.write("optimizers", rows))


def shortened(schedule: Any, epochs: int, steps: int) -> Any:
    """Returns the schedule with this number of epochs and of steps an epoch, validated only at its end."""
    return dataclasses.replace(schedule, epochs=epochs, steps_per_epoch=steps, validate_every=epochs)


def row(recipe: Recipe, name: str, rate: float, runs: Path, data: Path) -> dict[str, Any]:
    """Trains with an optimizer and returns its row, from the log of the run."""
    optimizer = dataclasses.replace(recipe.optimizer, name=name, learning_rate=rate)
    folder = runs / f"{recipe.preset}-{name}-{rate:g}"
    weight_set = train(dataclasses.replace(recipe, optimizer=optimizer), folder, data, resume=True)
    lines = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    losses = {f"loss {line['epoch']}": line["loss"] for line in lines if line["epoch"] in _shown(len(lines))}
    seconds = float(np.median([line["seconds"] for line in lines[1:] or lines]))
    return {
        "optimizer": name,
        "rate": f"{rate:g}",
        **losses,
        "Dice": f"{weight_set.score['dice']:.4f}",
        "seconds an epoch": round(seconds, 1),
    }


def _shown(epochs):
    """Returns the epochs whose losses the table shows: the first two, the middle one, the last."""
    return {1, 2, epochs // 2, epochs}


if __name__ == "__main__":
    main()
