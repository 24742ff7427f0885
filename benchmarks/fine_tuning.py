"""Trains on few labelled scans, pretrained and from scratch: `python -m benchmarks.fine_tuning [--quick]`.

Networks learn the whole hippocampus (both labels merged into one) from 5, 10 and 20 scans: from the preset that
`zoo/recipes/hippocampus_whole.toml` names, with and without a frozen encoder, and from random weights, all with the
same number of steps. The score is the mean Dice on the 42 validation scans. The preset's body has seen the few scans
before, with finer labels, so the gain is the best that is possible.
"""

import argparse
import dataclasses
import os
from pathlib import Path

import numpy as np

from benchmarks import timing
from recalib_keras.training import Recipe, train

RECIPE = Path(__file__).parents[1] / "zoo" / "recipes" / "hippocampus_whole.toml"
COLUMNS = ("scans", "from scratch", "pretrained", "pretrained, encoder frozen")


def main() -> None:
    """Trains, prints a table and writes it; trainings already in `--runs` are not repeated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one step each, only to check that it runs")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RECALIB_DATA", ".")), help="folder of data")
    parser.add_argument("--runs", type=Path, default=Path("runs/fine_tuning"), help="folder of the trainings")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    arguments = parser.parse_args()
    recipe = Recipe.read(RECIPE)
    if arguments.quick:
        schedule = dataclasses.replace(recipe.schedule, epochs=1, steps_per_epoch=1)
        recipe, arguments.seeds = dataclasses.replace(recipe, schedule=schedule), 1
    rows = []
    for scans in (5,) if arguments.quick else (5, 10, 20):
        row = {"scans": scans}
        for kind, changed in _kinds(recipe, scans).items():
            row[kind] = _scores(changed, arguments, f"{scans}-{kind.replace(', ', '-').replace(' ', '_')}")
        rows.append(row)
    timing.show([{key: _cell(value) for key, value in row.items()} for row in rows], COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("fine_tuning", rows))


def _kinds(recipe, scans):
    """Returns the recipes of a row, by column."""
    pretrained = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, training_scans=scans))
    frozen = dataclasses.replace(recipe.fine_tuning, freeze_encoder=True)
    return {
        "from scratch": dataclasses.replace(
            pretrained, init=None, fine_tuning=dataclasses.replace(recipe.fine_tuning, body_rate=1.0)
        ),
        "pretrained": pretrained,
        "pretrained, encoder frozen": dataclasses.replace(pretrained, fine_tuning=frozen),
    }


def _scores(recipe, arguments, name):
    """Returns the score of a training for each seed."""
    scores = []
    for seed in range(1, arguments.seeds + 1):
        folder = arguments.runs / f"{name}-seed{seed}"
        weight_set = train(dataclasses.replace(recipe, seed=seed), folder, arguments.data, resume=True)
        scores.append(weight_set.score["dice"])
    return scores


def _cell(value):
    if not isinstance(value, list):
        return value
    return f"{np.mean(value):.4f} ({min(value):.4f}–{max(value):.4f})"


if __name__ == "__main__":
    main()
