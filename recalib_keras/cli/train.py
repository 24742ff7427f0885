"""recalib train: fit networks by their recipes."""

import dataclasses
import os
import sys
from pathlib import Path

from recalib_keras.cli.messages import ERRORS, print_line
from recalib_keras.cli.options import add_data_argument
from recalib_keras.core.backend import start_backend


def add_arguments(parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "recipes", nargs="+", type=Path, metavar="RECIPE.toml", help="what to train, and how; several in turn"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="folder of the run; default: runs/PRESET-WEIGHTS, -seedN added with --seed"
    )
    add_data_argument(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the recipe's")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in the output folder, if there is one"
    )
    parser.add_argument(
        "--publish", type=Path, metavar="FOLDER", help="folder of presets to add the weights to, with recipe and card"
    )
    parser.add_argument(
        "--devices", type=int, metavar="N", help="GPUs to share each batch (default: 1; with --hosts: all of each host)"
    )
    parser.add_argument(
        "--hosts",
        type=lambda text: text.split(","),
        metavar="HOST:PORT,...",
        help="train on several hosts, with KERAS_BACKEND=jax: start the same command on each, with its --host-index; "
        "the others must reach the port of the first, and all must share the output folder",
    )
    parser.add_argument("--host-index", type=int, metavar="I", help="which of the --hosts this one is, from 0")


def run(arguments):
    """Trains by each recipe; returns 1 if some of several failed."""
    if arguments.output and len(arguments.recipes) > 1:
        raise ValueError(f"expected one recipe with --output, got {len(arguments.recipes)}; leave --output out")
    if (arguments.hosts is None) != (arguments.host_index is None):
        raise ValueError("expected --hosts and --host-index together, got one of them; give both")
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
            print_line("train", f"{path}: {error}")
    if failures:
        print_line("train", f"{failures} of {len(arguments.recipes)} recipes failed")
    return 1 if failures else 0


def _run_among_hosts(arguments):
    """Trains by each recipe together with the other hosts; ends the process at once if that fails.

    A process that ends in the usual way would have JAX wait for the other hosts to end too, which wait for it.
    """
    from recalib_keras.training.distributed.strategy import over_hosts

    distribution = over_hosts(arguments.hosts, arguments.host_index, arguments.devices)
    try:
        for path in arguments.recipes:
            _train(path, arguments, distribution)
    except (*ERRORS, MemoryError, KeyboardInterrupt) as error:
        print_line("train", f"host {distribution.host}: {str(error) or 'stopped'}")
        sys.stdout.flush()
        os._exit(130 if isinstance(error, KeyboardInterrupt) else 2)
    return 0


def _train(path, arguments, distribution):
    """Trains by one recipe, tells each epoch in a line, and says where the weights are."""
    from recalib_keras.training import Recipe, publish, train

    recipe = Recipe.read(path)
    folder = Path("runs") / f"{recipe.preset}-{recipe.weights}"
    if arguments.seed is not None:
        recipe = dataclasses.replace(recipe, seed=arguments.seed)
        folder = folder.with_name(f"{folder.name}-seed{arguments.seed}")
    folder = arguments.output or folder
    told = {}
    if distribution.is_first:
        report = _Report(recipe)
        told = {"on_epoch": report.epoch, "on_step": report.step}
    weight_set = train(recipe, folder, arguments.data, resume=arguments.resume, distribution=distribution, **told)
    if distribution.is_first:
        if recipe.schedule.patience and weight_set.score["epochs"] < recipe.schedule.epochs:
            print(f"ended early: no validation of the last {recipe.schedule.patience} was better")
        preset = publish(recipe, path, weight_set, folder, arguments.publish or folder)
        print(f"mean Dice {weight_set.score['dice']:.4f} on {weight_set.score['scans']}; preset written to {preset}")


class _Report:
    """A bar of steps on a terminal, and a line for each epoch."""

    def __init__(self, recipe):
        self.preset, self.epochs, self.bar = recipe.preset, recipe.schedule.epochs, None

    def step(self, epoch, step, steps, loss):
        """Moves the bar on."""
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=steps, unit=" steps", disable=None, leave=False, dynamic_ncols=True)
            self.bar.set_description(f"{self.preset} epoch {epoch}/{self.epochs}")
        self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()

    def epoch(self, line):
        """Takes the bar away and prints the epoch's line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        validation = ""
        if "dice" in line:
            validation = f", held out {line['validation_loss']:.4f}  dice {line['dice']:.4f} ± {line['dice_sd']:.4f}"
        epoch = f"epoch {line['epoch']}/{self.epochs}"
        print(f"{epoch}  loss {line['loss']:.4f}{validation}  {line['seconds']:.0f} s", flush=True)
