"""The command `recalib train`: trains networks by their recipes."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recalib_keras.cli.messages import ERRORS, print_line
from recalib_keras.cli.options import add_data_argument
from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import counted, listed, printable

if TYPE_CHECKING:
    from recalib_keras.training.data.class_balance import ClassShare

MOST_CLASSES = 4  # that are printed; classes.csv has all


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: The parser of the command.
    """
    parser.add_argument(
        "recipes", nargs="+", type=Path, metavar="RECIPE.toml", help="recipe of a training; several are trained in turn"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="folder of the run (default: runs/PRESET-WEIGHTS, with -seedN at its end for --seed N)",
    )
    add_data_argument(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="seed to use instead of the recipe's")
    parser.add_argument("--resume", action="store_true", help="continue the run in the output folder, if there is one")
    folds = parser.add_mutually_exclusive_group()
    folds.add_argument(
        "--fold",
        type=_fold,
        metavar="K/N",
        help="train fold K of N, from 1: hold out its patients; /N may be left out if the recipe has `folds`. The "
        "weights join those of other folds in the same preset, also if these are trained at the same time",
    )
    folds.add_argument(
        "--folds",
        type=_folds,
        metavar="all|N",
        help="train all folds, one after the other, and score each scan by the fold that held it out; with --resume, "
        "finished folds are kept, such as those of jobs with --fold",
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="keep all training scans in memory, instead of preparing them once in the cache on disk (see `recalib "
        "cache`)",
    )
    parser.add_argument(
        "--publish", type=Path, metavar="FOLDER", help="folder of presets to add the weights to, with recipe and card"
    )
    parser.add_argument(
        "--score-from",
        metavar="PRESET",
        help="for weights that learn from all scans: the preset of a training by the same recipe that held some out, "
        "whose score goes onto the card",
    )
    parser.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="number of GPUs that share each batch (default: 1; with --hosts: all of each host)",
    )
    parser.add_argument(
        "--hosts",
        type=lambda text: text.split(","),
        metavar="HOST:PORT,...",
        help="train on several hosts, with KERAS_BACKEND=jax: start the same command on each one with its own "
        "--host-index; all must reach the port of the first host, and share the output folder",
    )
    parser.add_argument("--host-index", type=int, metavar="I", help="number of this host among --hosts, from 0")


def run(arguments: Namespace) -> int:
    """Trains by each recipe.

    Args:
        arguments: Those of `add_arguments`.

    Returns:
        1 if some of several recipes failed, else 0.

    Raises:
        ValueError: The arguments do not fit together, or the only recipe failed. So do other errors of a training.
    """
    _check(arguments)
    start_backend()
    if arguments.hosts:
        return _run_among_hosts(arguments)
    from recalib_keras.training.distributed.strategy import over_devices

    distribution = over_devices(1 if arguments.devices is None else arguments.devices)
    failures = 0
    for path in arguments.recipes:
        try:
            _train(path, arguments, distribution)
        except ERRORS as error:
            if len(arguments.recipes) == 1:
                raise
            failures += 1
            print_line("train", error, path)
    if failures:
        print_line("train", f"{failures} of {len(arguments.recipes)} recipes failed")
    return 1 if failures else 0


def _check(arguments):
    if arguments.output and len(arguments.recipes) > 1:
        raise ValueError(f"expected one recipe with --output, got {len(arguments.recipes)}; leave --output out")
    if arguments.score_from and (len(arguments.recipes) > 1 or arguments.fold or arguments.folds is not None):
        raise ValueError("expected one recipe without folds with --score-from, got several; leave --score-from out")
    if (arguments.hosts is None) != (arguments.host_index is None):
        raise ValueError("expected --hosts and --host-index together, got one of them; give both")


def _run_among_hosts(arguments):
    """Trains by each recipe together with the other hosts; ends the process at once if that fails.

    At a normal end JAX would wait for the other hosts to end too, which in turn wait for this one.
    """
    from recalib_keras.training.distributed.strategy import over_hosts

    distribution = over_hosts(arguments.hosts, arguments.host_index, arguments.devices)
    try:
        for path in arguments.recipes:
            _train(path, arguments, distribution)
    except (*ERRORS, MemoryError, KeyboardInterrupt) as error:
        print_line("train", error if str(error) else "stopped", f"host {distribution.host}")
        sys.stdout.flush()
        os._exit(130 if isinstance(error, KeyboardInterrupt) else 2)
    return 0


def _train(path, arguments, distribution):
    """Trains by one recipe: once, or for one fold or each."""
    from recalib_keras.training import Recipe
    from recalib_keras.training.cross_validation import fold_of, score_folds

    recipe = Recipe.read(path)
    _tell_speed(recipe)
    if arguments.seed is not None:
        recipe = dataclasses.replace(recipe, seed=arguments.seed)
    folder = arguments.output or _default_folder(recipe, arguments.seed)
    if arguments.fold is None and arguments.folds is None:
        _train_once(recipe, path, folder, folder, arguments, distribution)
        return
    folds = arguments.folds or None
    if arguments.fold is not None:
        chosen, folds = [arguments.fold[0]], arguments.fold[1]
    else:
        chosen = range(1, fold_of(recipe, 1, folds).data.folds + 1)
    for recipe_of_fold in [fold_of(recipe, fold, folds) for fold in chosen]:
        fold = recipe_of_fold.data.fold
        if distribution.is_first:
            print(f"fold {fold} of {recipe_of_fold.data.folds}", flush=True)
        preset = _train_once(recipe_of_fold, path, folder / f"fold{fold}", folder, arguments, distribution)
    if arguments.folds is not None and distribution.is_first:
        score = score_folds(preset, recipe, arguments.data)
        print(printable(f"mean Dice {score['dice']:.4f} on {score['scans']}; ensemble in {preset}"))


def _train_once(recipe, path, folder, presets_folder, arguments, distribution):
    """Trains by one recipe, prints a line for each epoch, and publishes the weights; returns the preset's folder."""
    from recalib_keras import zoo
    from recalib_keras.training import publish, train
    from recalib_keras.training.publish import with_score_of

    if arguments.score_from and recipe.data.holds_out:
        raise ValueError(
            "expected a recipe that holds out no scan for --score-from, got one that does; set "
            "`data.validate_every = 0`"
        )
    twin = zoo.weight_set(arguments.score_from, recipe.weights) if arguments.score_from else None
    preset, callbacks = None, {}
    if distribution.is_first:
        report = _Report(recipe)
        callbacks = {"on_epoch": report.epoch, "on_step": report.step, "on_stage": report.stage, "on_data": report.data}
    weight_set = train(
        recipe,
        folder,
        arguments.data,
        resume=arguments.resume,
        distribution=distribution,
        use_cache=not arguments.no_cache,
        **callbacks,
    )
    if distribution.is_first:
        weight_set = weight_set if twin is None else with_score_of(weight_set, twin)
        if recipe.schedule.patience and weight_set.score["epochs"] < recipe.schedule.epochs:
            print(f"ended early: none of the last validations scored higher (patience {recipe.schedule.patience})")
        preset = publish(recipe, path, weight_set, folder, arguments.publish or presets_folder)
        score = weight_set.score
        measured = f"mean Dice {score['dice']:.4f} on" if "dice" in score else "measured on"
        print(printable(f"{measured} {score['scans']}; preset written to {preset}"))
    return preset


def _fold(text):
    """Returns fold and number of folds of `K/N`; the latter is None for `K` alone."""
    fold, _, folds = text.partition("/")
    try:
        found = int(fold), int(folds) if folds else None
    except ValueError:
        found = 0, None
    if found[0] < 1 or (found[1] is not None and found[1] < max(2, found[0])):
        raise argparse.ArgumentTypeError(f"expected K/N with K from 1 to N, such as 1/5, got {text!r}")
    return found


def _folds(text):
    """Returns the number of folds, or 0 for that of the recipe."""
    if text == "all":
        return 0
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected 'all' or a number of folds from 2 on, got {text!r}")
    return int(text)


def _tell_speed(recipe):
    """Warns of what is slow without a GPU: 3-D convolutions on JAX, and bfloat16 on most processors."""
    import keras

    from recalib_keras.training.distributed.strategy import accelerator
    from recalib_keras.training.network import training_precision

    if training_precision(recipe) != recipe.schedule.precision:
        print_line(
            "train", "training in float32: as far as the system says, this processor does not compute in bfloat16"
        )
    if keras.backend.backend() == "jax" and accelerator() is None and recipe.input.slice_axis is None:
        print_line(
            "train", "3-D convolutions are many times slower on JAX without a GPU; set KERAS_BACKEND=tensorflow instead"
        )


def _default_folder(recipe, seed):
    suffix = "" if seed is None else f"-seed{seed}"
    return Path("runs") / f"{recipe.preset}-{recipe.weights}{suffix}"


class _Report:
    """What a training shows: a bar of scans and steps on a terminal, a line for each stage and epoch elsewhere."""

    def __init__(self, recipe: Any):
        self.preset, self.epochs = recipe.preset, recipe.schedule.epochs
        self.bar: Any = None

    def stage(self, stage: str, done: int, count: int) -> None:
        """Shows how far a stage is before the first step: a bar on a terminal, otherwise a line when it begins."""
        if sys.stderr.isatty():
            self._show_bar(count, " scans" if count else "", f"{self.preset} {stage}")
            self.bar.update()
        elif done <= 1:
            print(f"{stage} (1 of {count})" if count else stage, flush=True)
        if count and done == count:
            self._close()

    def data(self, balance: Sequence[ClassShare]) -> None:
        """Prints how much of the training scans each class takes, the rarest first, so that imbalance is seen."""
        rarest = sorted(balance[1:], key=lambda one: one.voxels)
        shares = (
            f"{one.name} {100 * one.share:.3g} % of voxels, {counted(one.scans, 'scan')}"
            + (f", {100 * one.centred:.0f} % of windows" if one.centred else "")
            for one in rarest
        )
        if rarest:
            print(printable(f"classes, the rarest first: {listed(shares, MOST_CLASSES, '; ')}"), flush=True)

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Advances the bar by a step."""
        if step == 1:
            self._close()
        self._show_bar(steps, " steps", f"{self.preset} epoch {epoch}/{self.epochs}")
        self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()

    def epoch(self, line: dict[str, Any]) -> None:
        """Removes the bar and prints the line of the epoch."""
        self._close()
        validation = ""
        if "dice" in line:
            dice = f"dice {line['dice']:.4f} ± {line['dice_sd']:.4f}"
            validation = f", validation loss {line['validation_loss']:.4f}  {dice}"
        epoch = f"epoch {line['epoch']}/{self.epochs}"
        print(f"{epoch}  train loss {line['loss']:.4f}{validation}  {line['seconds']:.0f} s", flush=True)

    def _show_bar(self, total, unit, description):
        from tqdm import tqdm

        if self.bar is None:
            shape = {} if total else {"bar_format": "{desc} ({elapsed})"}
            self.bar = tqdm(
                total=total or None, unit=unit, desc=description, disable=None, leave=False, dynamic_ncols=True, **shape
            )

    def _close(self):
        if self.bar is not None:
            self.bar.close()
            self.bar = None
