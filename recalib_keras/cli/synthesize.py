"""recalib synthesize: draw scans generated from label maps."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from recalib_keras.cli.options import add_picture_argument
from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import printable

if TYPE_CHECKING:
    from recalib_keras.synthesis import Synthesis

BUILT_IN = ("mild", "varied")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "labels", nargs="+", type=Path, metavar="LABELS", help="label map of a whole head, or a folder of them"
    )
    add_picture_argument(parser)
    parser.add_argument(
        "--settings",
        default="varied",
        metavar="FILE.toml",
        help="how far scans vary: a recipe with a table [synthesis], a file of its keys, or `mild` (default: varied)",
    )
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE.json",
        help="what the numbers in the label maps mean (default: generation.json beside the first of them)",
    )
    parser.add_argument(
        "--samples", type=int, default=6, metavar="N", help="number of scans, one row each (default: 6)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random (default: 0)")
    parser.add_argument("--spacing", type=float, default=2.0, metavar="MM", help="size of the voxels (default: 2)")


def run(arguments: argparse.Namespace) -> None:
    """Draws the picture and prints its path."""
    start_backend()
    from recalib_keras.synthesis.preview import preview

    path = preview(
        arguments.labels,
        arguments.output,
        read_settings(arguments.settings),
        table=arguments.table,
        samples=arguments.samples,
        seed=arguments.seed,
        spacing=arguments.spacing,
    )
    print(printable(f"picture in {path}"))


def read_settings(text: str) -> Synthesis:
    """Returns the settings that `--settings` names.

    Args:
        text: Name of built-in settings; or path of a recipe, which may extend others, or of a file of the keys of its
            table [synthesis].

    Raises:
        ValueError: If there is no such file, or it holds no settings.
    """
    from recalib_keras import synthesis
    from recalib_keras.core.records import from_mapping
    from recalib_keras.training.recipe import Recipe, read_toml

    if text in BUILT_IN:
        return getattr(synthesis, text.upper())
    if not Path(text).is_file():
        raise ValueError(f"expected {' or '.join(BUILT_IN)}, or a file of settings, got {text}, which does not exist")
    mapping = read_toml(text)
    if "synthesis" in mapping:
        return from_mapping(synthesis.Synthesis, mapping["synthesis"], f"{text}: synthesis")
    if any(field.name in mapping for field in dataclasses.fields(Recipe)):
        raise ValueError(
            f"{text}: expected a recipe with a table [synthesis], got one without it, which generates no scans"
        )
    return from_mapping(synthesis.Synthesis, mapping, text)
