"""Options that several commands share."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recalib_keras.core.spreading import devices
from recalib_keras.core.spreading.pool import Workers

if TYPE_CHECKING:
    from recalib_keras.evaluation import OverlayStyle

PICTURE_FORMATS = ("png", "svg", "pdf")  # those of `evaluation.figures.canvas`, which --help need not wait for


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
    add_weights_argument(parser)


def add_weights_argument(parser: ArgumentParser) -> None:
    """Adds `--weights`; `named_weights` reads what it gives.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--weights",
        default="default",
        metavar="NAME",
        help="one of the preset's weight sets or ensembles, or several weight sets as NAME:0.4,NAME:0.6 (default: the "
        "first weight set, or the ensemble that it is part of)",
    )


def add_picture_argument(parser: ArgumentParser) -> None:
    """Adds `--output`, the picture to write.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PICTURE.png",
        help="the picture to write (.png, .svg or .pdf)",
    )


def add_flip_argument(parser: ArgumentParser) -> None:
    """Adds `--flip`, the test-time flip.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--flip", action="store_true", help="average with the left-right mirror image (takes twice the time)"
    )


def add_largest_component_argument(parser: ArgumentParser) -> None:
    """Adds `--largest-component`, which removes smaller parts of structures.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--largest-component",
        nargs="?",
        const=True,
        default=False,
        type=structure_names,
        metavar="NAMES",
        help="keep only the largest connected component of each structure, or with NAMES (as those of `recalib segment "
        "--structures`) of these structures; the other voxels become background",
    )


def structure_names(text: str) -> list[str]:
    """Returns the names of structures that commas separate.

    Args:
        text: What was typed.
    """
    return [name.strip() for name in text.split(",") if name.strip()]


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


def add_device_argument(parser: ArgumentParser) -> None:
    """Adds `--device`.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="the only device to use: cpu, or gpu:0, gpu:1, ... (default: a GPU where Keras sees one; OpenVINO runs "
        "on the CPU)",
    )


def use_device(arguments: Namespace) -> None:
    """Lets this process see the device of `--device` alone. Call it before the backend is loaded.

    Args:
        arguments: The parsed arguments, with those of workers.

    Raises:
        ValueError: There is no such device, the engine does not compute on it, or other machines do the work.
    """
    device, engine = arguments.device, getattr(arguments, "engine", None)
    if device is None:
        return
    if arguments.scheduler or arguments.scheduler_file:
        raise ValueError(
            f"--device: expected no device for the workers of a scheduler, got {device!r}; start each worker with its "
            "own device"
        )
    if engine == "openvino" and device != "cpu":
        raise ValueError(
            f"--device: expected cpu for the engine openvino, which computes there, got {device!r}; use --engine keras"
        )
    devices.use_device(device)


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


def add_overlay_arguments(parser: ArgumentParser) -> None:
    """Adds `--overlay`, `--overlay-slices` and `--overlay-format`: pictures of scans with their labels.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument("--overlay", action="store_true", help="also draw a picture of each scan with its labels")
    parser.add_argument(
        "--overlay-slices",
        type=positive,
        metavar="N",
        help="draw it with N slices of each view, spread over the structures (default: the one that shows most)",
    )
    parser.add_argument(
        "--overlay-format",
        choices=PICTURE_FORMATS,
        help="draw it in this format (default: png); svg and pdf stay sharp",
    )


def overlay_style(arguments: Namespace) -> "OverlayStyle | None":
    """Returns how the arguments of `add_overlay_arguments` want pictures drawn; None for no pictures.

    Args:
        arguments: The parsed arguments.
    """
    from recalib_keras.evaluation import OverlayStyle

    wanted = {"slices": arguments.overlay_slices, "format": arguments.overlay_format}
    chosen = {key: value for key, value in wanted.items() if value is not None}
    return OverlayStyle(**chosen) if arguments.overlay or chosen else None


def add_figure_format_argument(parser: ArgumentParser) -> None:
    """Adds `--figure-format`.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--figure-format",
        choices=PICTURE_FORMATS,
        default="png",
        help="format of the figures (default: png); svg and pdf stay sharp in print",
    )


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
