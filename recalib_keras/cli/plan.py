"""recalib plan: look at a set of scans, and write the recipe of a training on it."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from recalib_keras.cli.options import add_data_argument
from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import counted, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument("folder", type=Path, metavar="SCANS", help="folder of the set, such as one of the Decathlon")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RECIPE.toml", help="the recipe to write")
    parser.add_argument("--dataset", metavar="NAME", help="layout of the folder, see `recalib datasets`")
    parser.add_argument("--volume", type=int, metavar="I", help="which volume of 4-D images to learn from, from 0")
    parser.add_argument(
        "--minutes",
        type=_minutes,
        default=60.0,
        metavar="M",
        help="how long the training may take on this machine, by a measurement of its steps (default: 60)",
    )
    parser.add_argument("--epochs", type=_epochs, metavar="N", help="number of epochs of 100 steps instead")
    parser.add_argument("--like", metavar="PRESET", help="start from a preset's weights, with its network and input")
    parser.add_argument("--weights", default="default", metavar="NAME", help="which weight set of --like")
    parser.add_argument("--overwrite", action="store_true", help="replace the recipe if it exists")
    add_data_argument(parser)


def run(arguments: argparse.Namespace) -> None:
    """Reads the scans, measures a step, writes the recipe and prints how to train.

    Args:
        arguments: Arguments of the command.

    Raises:
        ValueError: The recipe exists, or the scans cannot be used.
    """
    if arguments.output.exists() and not arguments.overwrite:
        raise ValueError(f"{arguments.output}: expected a new file, got one that exists; add --overwrite to replace it")
    start_backend()
    from recalib_keras.core.files import write_text
    from recalib_keras.training import Recipe
    from recalib_keras.training.planning.duration import FEW_STEPS, Budget
    from recalib_keras.training.planning.facts import read_facts
    from recalib_keras.training.planning.machine import Machine, seconds_per_step
    from recalib_keras.training.planning.recipe_text import plan

    with _Bar() as bar:
        facts = read_facts(arguments.folder, arguments.dataset, arguments.volume, bar.show)

    def measure(recipe, shape):
        print("measuring a step", flush=True)
        return seconds_per_step(recipe, shape)

    budget = Budget(arguments.minutes, epochs=arguments.epochs)
    text = plan(facts, Machine.here(), budget, measure, arguments.data, arguments.like, arguments.weights)
    write_text(arguments.output, text)
    print(printable(f"{counted(facts.scans, 'scan')}, {counted(len(facts.labels), 'structure')}: {arguments.output}"))
    print(printable(f"train it with: recalib train {arguments.output}{_data_option(arguments)}"))
    schedule = Recipe.read(arguments.output).schedule
    steps = schedule.epochs * schedule.steps_per_epoch
    if arguments.like is None and steps < FEW_STEPS:
        more = "--minutes" if arguments.epochs is None else "--epochs"
        remedy = f"give it more {more}, start from a preset by --like, or train on a faster machine"
        warnings.warn(
            f"expected {FEW_STEPS} steps or more, got {steps}: a network learns little; {remedy}", stacklevel=2
        )


def _data_option(arguments):
    from recalib_keras.cli.options import default_data_root

    return "" if arguments.data == default_data_root() else f" --data {arguments.data}"


class _Bar:
    """A bar of scans on a terminal; a line elsewhere."""

    def __enter__(self):
        from tqdm import tqdm

        self.bar = tqdm(unit=" scans", disable=None, leave=False, dynamic_ncols=True, desc="reading scans")
        return self

    def __exit__(self, *_):
        self.bar.close()

    def show(self, done: int, count: int) -> None:
        """Shows that scans were read."""
        if done == 1 and self.bar.disable:
            print(f"reading {counted(count, 'scan')}", flush=True)
        self.bar.total = count
        self.bar.update()


def _minutes(text):
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"expected minutes above 0, got {text}")
    return number


def _epochs(text):
    number = int(text)
    if not 0 < number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"expected from 1 to 1,000,000 epochs, got {text}")
    return number
