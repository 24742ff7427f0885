"""Options that several commands share."""

import os
from pathlib import Path


def add_data_argument(parser) -> None:
    """Adds `--data`, the folder of data sets."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("RECALIB_DATA", ".")),
        metavar="FOLDER",
        help="folder that the recipe's data folder lies in; default: $RECALIB_DATA, else the current folder",
    )


def add_preset_arguments(parser, default) -> None:
    """Adds `--preset` and `--weights`."""
    parser.add_argument(
        "--preset",
        default=default,
        metavar="NAME",
        help=f"see `recalib presets`, or a preset's folder (default: {default})",
    )
    parser.add_argument(
        "--weights",
        default="default",
        metavar="NAME",
        help="one of the preset's weight sets or ensembles, or several as NAME:0.4,NAME:0.6 (default: its first, or "
        "the ensemble that this one is part of)",
    )


def add_flip_argument(parser) -> None:
    """Adds `--flip`."""
    parser.add_argument("--flip", action="store_true", help="average with the left-right mirror image (twice the time)")


def named_weights(text):
    """Returns the name that `--weights` gives, or from `NAME:0.4,NAME:0.6` several with their shares.

    Raises:
        ValueError: if a share is no number above 0.
    """
    if "," not in text and ":" not in text:
        return text
    shares = {}
    for part in text.split(","):
        name, _colon, share = part.strip().rpartition(":") if ":" in part else (part.strip(), "", "1")
        try:
            shares[name] = float(share)
        except ValueError:
            shares[name] = 0.0
        if not shares[name] > 0:
            raise ValueError(f"expected --weights NAME:SHARE with a share above 0, got {part.strip()!r}")
    return shares
