"""Options that several commands share."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from recalib_keras.core.spreading.pool import Workers


def add_data_argument(parser: ArgumentParser) -> None:
    """Adds `--data`, the folder of data sets.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--data",
        type=Path,
        default=default_data_root(),
        metavar="FOLDER",
        help="folder that contains the data folder of the recipe (default: $RECALIB_DATA, else the current folder)",
    )


def default_data_root() -> Path:
    """Returns the folder of data sets without `--data`: that which `RECALIB_DATA` names, else the current one."""
    return Path(os.environ.get("RECALIB_DATA", "."))


def add_preset_arguments(parser: ArgumentParser, default: str | None) -> None:
    """Adds `--preset` and `--weights`.

    Args:
        parser: Parser of the command.
        default: Default preset; None if there is none.
    """
    parser.add_argument(
        "--preset",
        default=default,
        metavar="NAME",
        help="name of a preset, see `recalib presets`, or the folder of one"
        + ("" if default is None else f" (default: {default})"),
    )
    parser.add_argument(
        "--weights",
        default="default",
        metavar="NAME",
        help="one of the preset's weight sets or ensembles, or several weight sets as NAME:0.4,NAME:0.6 (default: the "
        "first weight set, or the ensemble that it is part of)",
    )


def add_flip_argument(parser: ArgumentParser) -> None:
    """Adds `--flip`, the test-time flip.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--flip", action="store_true", help="average with the left-right mirror image (takes twice the time)"
    )


def add_report_argument(parser: ArgumentParser) -> None:
    """Adds `--report`, pages of scans.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--report",
        action="store_true",
        help="also write a page of each scan to look at, one HTML file, and cohort.html with all of them",
    )


def reporter_of(arguments: Namespace) -> Any:
    """Returns what makes the pages of scans: a `recalib_keras.reports.ScanReporter`; None without `--report`.

    Args:
        arguments: The parsed arguments of the command.
    """
    if not arguments.report:
        return None
    from recalib_keras.reports import ScanReporter

    return ScanReporter()


def add_worker_arguments(parser: ArgumentParser, of: str) -> None:
    """Adds `--workers`, `--threads`, `--scheduler` and `--scheduler-file`: where the work is done.

    Args:
        parser: Parser of the command.
        of: What a worker does, in words.
    """
    group = parser.add_argument_group(
        "workers", f"{of} spread over several processes; needs Dask: pip install 'recalib-keras[cluster]'"
    )
    group.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="start N processes here, a GPU or a share of the cores each (default: this process does the work)",
    )
    group.add_argument("--threads", type=positive, metavar="N", help="CPU threads of each (default: its share)")
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="use the workers of a Dask scheduler, such as tls://HOST:8786"
    )
    group.add_argument(
        "--scheduler-file", type=Path, metavar="FILE", help="use the Dask scheduler that has written this file"
    )


def workers_of(arguments: Namespace) -> Workers:
    """Returns where the arguments of `add_worker_arguments` put the work.

    Args:
        arguments: The parsed arguments.

    Raises:
        ValueError: They name more than one place.
    """
    return Workers(arguments.workers, arguments.threads, arguments.scheduler, arguments.scheduler_file)


def positive(text: str) -> int:
    """Returns an argument as an integer of at least 1.

    Args:
        text: The argument.
    """
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def named_weights(text: str) -> str | dict[str, float]:
    """Returns the name that `--weights` gives, or the shares of several weight sets by name.

    Args:
        text: A name, or several with their shares as `NAME:0.4,NAME:0.6`. A share that is left out is 1.

    Raises:
        ValueError: If a share is not a number above 0.
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
            raise ValueError(
                f"expected --weights NAME:SHARE with a share above 0, got {part.strip()!r}; give each name a number"
            )
    return shares
