"""The command `recalib train`: trains networks by their recipes."""

import dataclasses
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from recalib_keras.cli.messages import ERRORS, print_line
from recalib_keras.cli.options import add_data_argument
from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import printable


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
    parser.add_argument(
        "--publish", type=Path, metavar="FOLDER", help="folder of presets to add the weights to, with recipe and card"
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
    """Trains by one recipe, prints a line for each epoch, and publishes the weights."""
    from recalib_keras.training import Recipe, publish, train

    recipe = Recipe.read(path)
    if arguments.seed is not None:
        recipe = dataclasses.replace(recipe, seed=arguments.seed)
    folder = arguments.output or _default_folder(recipe, arguments.seed)
    callbacks = {}
    if distribution.is_first:
        report = _Report(recipe)
        callbacks = {"on_epoch": report.epoch, "on_step": report.step}
    weight_set = train(recipe, folder, arguments.data, resume=arguments.resume, distribution=distribution, **callbacks)
    if distribution.is_first:
        if recipe.schedule.patience and weight_set.score["epochs"] < recipe.schedule.epochs:
            print(f"ended early: none of the last validations scored higher (patience {recipe.schedule.patience})")
        preset = publish(recipe, path, weight_set, folder, arguments.publish or folder)
        score = weight_set.score
        print(printable(f"mean Dice {score['dice']:.4f} on {score['scans']}; preset written to {preset}"))


def _default_folder(recipe, seed):
    suffix = "" if seed is None else f"-seed{seed}"
    return Path("runs") / f"{recipe.preset}-{recipe.weights}{suffix}"


class _Report:
    """A progress bar of steps on a terminal, and a line for each epoch."""

    def __init__(self, recipe: Any):
        self.preset, self.epochs = recipe.preset, recipe.schedule.epochs
        self.bar: Any = None

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Advances the bar by a step."""
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=steps, unit=" steps", disable=None, leave=False, dynamic_ncols=True)
            self.bar.set_description(f"{self.preset} epoch {epoch}/{self.epochs}")
        self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()

    def epoch(self, line: dict[str, Any]) -> None:
        """Removes the bar and prints the line of the epoch."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        validation = ""
        if "dice" in line:
            validation = f", validation {line['validation_loss']:.4f}  dice {line['dice']:.4f} ± {line['dice_sd']:.4f}"
        epoch = f"epoch {line['epoch']}/{self.epochs}"
        print(f"{epoch}  loss {line['loss']:.4f}{validation}  {line['seconds']:.0f} s", flush=True)
