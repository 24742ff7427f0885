"""recalib info: everything about one preset."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: The command's parser.
    """
    parser.add_argument("name", metavar="NAME", help="see `recalib presets`, or the path of a preset's folder")


def run(arguments: argparse.Namespace) -> None:
    """Prints the preset's card, and of each weight set the licence and the labels with their colours.

    Args:
        arguments: Of the command.
    """
    from recalib_keras import zoo
    from recalib_keras.zoo.pages.table import licences

    preset = zoo.info(arguments.name)
    print(_card(preset))
    for weights, described in preset.weight_sets.items():
        print(f"{weights}: licence {described.licence}")
        print(f"{weights}: label, colour, structure")
        for label in described.labels:
            print(f"  {label.id:5d}  #{bytes(label.color).hex()}  {label.name}")
    for ensemble in preset.ensembles:
        print(f"{ensemble}: licence {licences(preset, ensemble)}")


def _card(preset):
    """Returns the card that publishing writes beside the description, or the description where there is none."""
    from recalib_keras.zoo.pages.card_header import without_header

    card = preset.folder / "README.md"
    return without_header(card.read_text(encoding="utf-8")) if card.is_file() else f"{preset}\n"
