"""What the commands that segment scans share: which preset, what is made of each scan, and what computes."""

from __future__ import annotations

import functools
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from recalib_keras.cli.messages import format_line, shown_steps
from recalib_keras.cli.options import (
    add_device_argument,
    add_flip_argument,
    add_largest_component_argument,
    add_overlay_arguments,
    add_preset_arguments,
    add_report_argument,
    add_worker_arguments,
    named_weights,
    overlay_style,
    reporter_of,
    structure_names,
)
from recalib_keras.cli.progress import open_progress

if TYPE_CHECKING:
    from recalib_keras.core.spreading.pool import Workers
    from recalib_keras.inference import Batch, BatchReport, Outputs, ScanOutcome, Segmenter
    from recalib_keras.zoo import Label, WeightSet


def add_segmentation_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments for the preset, the outputs, and the engine and workers that compute.

    Args:
        parser: Parser of the command.
    """
    add_preset_arguments(parser, default="densenet3d_pe")
    _add_output_arguments(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="segment again where labels exist already (default: keep them)"
    )
    add_flip_argument(parser)
    parser.add_argument(
        "--engine",
        choices=("auto", "keras", "openvino"),
        default="auto",
        help="what computes; auto (default): OpenVINO if its labels are those of Keras; selected once and remembered",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="number format of the computation; auto (default): selected with the engine",
    )
    add_device_argument(parser)
    add_worker_arguments(parser, "scans")


def weight_sets_of(arguments: Namespace) -> list[WeightSet]:
    """Returns the weight sets that are averaged.

    Args:
        arguments: The parsed arguments of the command.
    """
    from recalib_keras import zoo

    shares = zoo.info(arguments.preset).shares(named_weights(arguments.weights))
    return [zoo.weight_set(arguments.preset, name) for name in shares]


def labels_of(weight_sets: Sequence[WeightSet]) -> Sequence[Label]:
    """Returns the labels that weight sets give together, background first: those of the one with most.

    Args:
        weight_sets: The weight sets.
    """
    return max((one.labels for one in weight_sets), key=len)


def batch_options(arguments: Namespace, weight_sets: Sequence[WeightSet], dicom_seg: bool = False) -> dict[str, Any]:
    """Returns the arguments of `recalib_keras.inference.Batch` that say what to make of each scan.

    A wrong name of a structure is an error here, not on every worker.

    Args:
        arguments: The parsed arguments of the command.
        weight_sets: The weight sets that are averaged.
        dicom_seg: Whether to write DICOM Segmentation objects.

    Raises:
        RecordError: The weight sets do not know a structure.
    """
    from recalib_keras.inference import Outputs

    outputs: Outputs = Outputs(
        arguments.probabilities, arguments.uncertainty, arguments.structures, dicom_seg, arguments.largest_component
    )
    outputs.chosen(labels_of(weight_sets))
    return {
        "outputs": outputs,
        "overwrite": arguments.overwrite,
        "draw_overlays": overlay_style(arguments) or False,
        "reporter": reporter_of(arguments),
        "channels": weight_sets[0].input.num_channels,
    }


def run_batch(
    command: str,
    batch: Batch,
    arguments: Namespace,
    workers: Workers,
    on_scan: Callable[[ScanOutcome], object] = lambda outcome: None,
) -> BatchReport:
    """Segments the scans of a batch, and shows the progress and the warnings about each scan meanwhile.

    Args:
        command: Name of the command.
        batch: The batch.
        arguments: The parsed arguments of the command.
        workers: Where scans are segmented.
        on_scan: Called with the outcome of each scan.

    Returns:
        What became of all scans.
    """
    progress = open_progress(command, [scan for scan, _ in batch.targets], with_windows=workers.is_here)

    def show(outcome):
        on_scan(outcome)
        if outcome.warnings:
            progress.write(format_line(command, f"{outcome.scan}: {'; '.join(outcome.warnings)}"))
        progress.finished()

    with shown_steps(command, progress.write, progress.level):
        try:
            return batch.run(segmenter_of(arguments, workers), show, progress.windows, workers)
        finally:
            progress.close()


def segmenter_of(arguments: Namespace, workers: Workers) -> Segmenter | Callable[[], Segmenter]:
    """Returns the segmenter, which takes several seconds if it needs Keras; for workers, what opens it there.

    Args:
        arguments: The parsed arguments of the command.
        workers: Where scans are segmented.
    """
    from recalib_keras.inference import open_segmenter

    settings = {"flips": arguments.flip, "engine": arguments.engine, "precision": arguments.precision}
    weights, threads = named_weights(arguments.weights), workers.threads_each
    opener = functools.partial(open_segmenter, arguments.preset, weights, **settings, threads=threads)
    return opener() if workers.is_here else opener


def _add_output_arguments(parser):
    parser.add_argument(
        "--structures",
        type=structure_names,
        action="extend",
        metavar="NAMES",
        help="only these: names, numbers or patterns with commas between, such as hippocampus,17,'*ventricle*'; a name "
        "without a side means both",
    )
    add_largest_component_argument(parser)
    parser.add_argument(
        "--probabilities",
        nargs="?",
        const="uint8",
        type=_dtype,
        metavar="TYPE",
        help="also write the probability of each structure, a 4-D image stored as uint8 (default), uint16 or float32",
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write the entropy of each voxel and, with an ensemble or --flip, the mutual information: how far "
        "the predictions differ",
    )
    add_overlay_arguments(parser)
    add_report_argument(parser)


def _dtype(text):
    from recalib_keras.inference.maps import MapRequest

    try:
        return MapRequest(probabilities=text).probabilities
    except ValueError as error:
        raise ArgumentTypeError(f"{error}; give files and folders before the options") from None
