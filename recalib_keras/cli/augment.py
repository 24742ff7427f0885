"""recalib augment: draw training examples as augmentation changes them."""

from __future__ import annotations

import argparse
from pathlib import Path

from recalib_keras.cli.options import add_data_argument, add_picture_argument
from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE.toml", help="the recipe whose examples to draw")
    add_picture_argument(parser)
    add_data_argument(parser)
    parser.add_argument("--scans", type=int, default=4, metavar="N", help="number of scans, one row each (default: 4)")
    parser.add_argument("--samples", type=int, default=8, metavar="N", help="changed examples of each (default: 8)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of everything random (default: the recipe's)")
    parser.add_argument(
        "--view",
        choices=("sagittal", "coronal", "axial"),
        help="slices of 3-D windows to show (default: axial); 2-D networks show the slices they see",
    )


def run(arguments: argparse.Namespace) -> None:
    """Draws the picture and prints its path."""
    start_backend()
    from recalib_keras.training import Recipe
    from recalib_keras.training.data.preview import preview

    path = preview(
        Recipe.read(arguments.recipe),
        arguments.data,
        arguments.output,
        scans=arguments.scans,
        samples=arguments.samples,
        seed=arguments.seed,
        view=arguments.view,
    )
    print(printable(f"picture in {path}"))
