"""Options that several commands share."""

import os
from pathlib import Path


def add_data_argument(parser):
    """Adds `--data`, the folder of data sets."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("RECALIB_DATA", ".")),
        metavar="FOLDER",
        help="folder that the recipe's data folder lies in; default: $RECALIB_DATA, else the current folder",
    )


def add_preset_arguments(parser, default):
    """Adds `--preset` and `--weights`."""
    parser.add_argument(
        "--preset",
        default=default,
        metavar="NAME",
        help=f"see `recalib presets`, or a preset's folder (default: {default})",
    )
    parser.add_argument(
        "--weights", default="default", metavar="NAME", help="one of the preset's weight sets (default: its first)"
    )
