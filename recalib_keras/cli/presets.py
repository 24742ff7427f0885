"""recalib presets: list the pretrained networks."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command: none.

    Args:
        parser: The command's parser.
    """


def run(arguments: argparse.Namespace) -> None:
    """Prints a line for each weight set and each ensemble of each preset.

    Args:
        arguments: Of the command.
    """
    from recalib_keras import zoo
    from recalib_keras.zoo.table import table

    print(table(map(zoo.info, zoo.names())))
