"""recalib segment: labels, volumes and pictures of one scan or thousands."""

import argparse
import functools
from pathlib import Path

from recalib_keras.cli.messages import ERRORS, format_line, print_line, shown_steps
from recalib_keras.cli.options import (
    add_device_argument,
    add_flip_argument,
    add_overlay_arguments,
    add_preset_arguments,
    add_report_argument,
    add_worker_arguments,
    named_weights,
    overlay_style,
    reporter_of,
    use_device,
    workers_of,
)
from recalib_keras.cli.progress import open_progress
from recalib_keras.core.messages import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "scans",
        nargs="+",
        type=Path,
        metavar="SCAN",
        help="NIfTI, MGZ or multi-frame DICOM file, a folder of NIfTI or MGZ files, or one with a DICOM series; for "
        "several channels a 4-D file, or nnU-Net's files x_0000.nii.gz, x_0001.nii.gz, ...",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder, or a .nii.gz file for a single scan; scans with the same name keep their folders",
    )
    add_preset_arguments(parser, default="densenet3d_pe")
    _add_output_arguments(parser)
    parser.add_argument("--volume", type=int, metavar="I", help="index of the volume to take from 4-D scans, from 0")
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
    parser.add_argument(
        "--wide", action="store_true", help="also write volumes_wide.csv: a row for each scan, a column a structure"
    )
    parser.add_argument(
        "--part", type=_part, metavar="I/N", help="only every N-th scan from the I-th on: the share of one of N jobs"
    )
    add_worker_arguments(parser, "scans")


def _add_output_arguments(parser):
    parser.add_argument(
        "--structures",
        type=_names,
        action="extend",
        metavar="NAMES",
        help="only these: names, numbers or patterns with commas between, such as hippocampus,17,'*ventricle*'; a name "
        "without a side means both",
    )
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
    parser.add_argument(
        "--dicom-seg", action="store_true", help="also write a DICOM Segmentation object of each DICOM series"
    )
    add_overlay_arguments(parser)
    add_report_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Segments each scan; returns 1 if some of several could not be segmented."""
    from recalib_keras import zoo
    from recalib_keras.inference import Batch

    workers = workers_of(arguments)
    use_device(arguments)
    shares = zoo.info(arguments.preset).shares(named_weights(arguments.weights))
    weight_sets = [zoo.weight_set(arguments.preset, name) for name in shares]
    batch = Batch(
        arguments.scans,
        arguments.output,
        volume=arguments.volume,
        overwrite=arguments.overwrite,
        draw_overlays=overlay_style(arguments) or False,
        outputs=_outputs(arguments, weight_sets),
        reporter=reporter_of(arguments),
        channels=weight_sets[0].input.num_channels,
        part=arguments.part,
    )
    is_single = len(batch.targets) == 1 and workers.is_here
    outcomes: list = []
    progress = open_progress("segment", [scan for scan, _ in batch.targets], with_windows=workers.is_here)

    def on_scan(outcome):
        outcomes.append(outcome)
        if outcome.warnings:
            progress.write(format_line("segment", f"{outcome.scan}: {'; '.join(outcome.warnings)}"))
        progress.finished()

    with shown_steps("segment", progress.write, progress.level):
        try:
            batch.run(_segmenter(arguments, workers), on_scan, progress.windows, workers)
        finally:
            progress.close()
            _report(batch, outcomes, is_single)
    if arguments.report:
        _print_pages(batch, outcomes)
    if arguments.wide and batch.table.path.exists():
        print(printable(f"a row for each scan in {batch.write_wide_table()}"))
    if is_single and outcomes[0].error is not None:
        raise outcomes[0].error
    return 1 if any(outcome.error is not None for outcome in outcomes) else 0


def _outputs(arguments, weight_sets):
    """Returns what is made of each scan; a wrong name of a structure is an error here, not on every worker."""
    from recalib_keras.inference import Outputs

    outputs = Outputs(arguments.probabilities, arguments.uncertainty, arguments.structures, arguments.dicom_seg)
    outputs.chosen(max((one.labels for one in weight_sets), key=len))
    return outputs


def _segmenter(arguments, workers):
    """Returns the segmenter, which takes several seconds if it needs Keras; for workers, what opens it there."""
    from recalib_keras.inference import open_segmenter

    settings = {"flips": arguments.flip, "engine": arguments.engine, "precision": arguments.precision}
    weights, threads = named_weights(arguments.weights), workers.threads_each
    opener = functools.partial(open_segmenter, arguments.preset, weights, **settings, threads=threads)
    return opener() if workers.is_here else opener


def _report(batch, outcomes, is_single):
    """Prints what was done, even if the batch was stopped."""
    from recalib_keras.core.messages import counted
    from recalib_keras.inference import BatchReport

    report = BatchReport(outcomes)
    done = len(report.segmented) + len(report.found)
    if done:
        where = batch.targets[0][1] if is_single else batch.table.path.parent
        engines = sorted({engine for outcome in report.segmented for engine in outcome.engines})
        remarks = [f"by {', '.join(engines)}"] * bool(report.segmented)
        remarks += [f"{len(report.found)} existed already"] * bool(report.found)
        how = ", ".join(remarks)
        print(printable(f"labels of {counted(done, 'scan')} in {where}, volumes in {batch.table.path} ({how})"))
    if is_single:
        return  # its error is the command's
    for outcome in report.failed:
        known = isinstance(outcome.error, ERRORS)
        message = outcome.error if known else f"{type(outcome.error).__name__}: {outcome.error}"
        print_line("segment", message, outcome.scan)
    if report.failed:
        print_line("segment", f"{len(report.failed)} of {len(batch.targets)} scans could not be segmented")


def _print_pages(batch, outcomes):
    """Writes the page of the cohort, if there is more than one scan, and prints where the pages are."""
    from recalib_keras.reports import cohort_page, page_path

    pages = [page_path(outcome.labels) for outcome in outcomes if outcome.error is None]
    if len(batch.table.rows_by_label_map()) > 1:
        print(printable(f"page of the cohort in {cohort_page(batch.table.path.parent)}, a page of each scan beside it"))
    elif pages:
        print(printable(f"page of the scan in {pages[0]}"))


def _names(text):
    return [name.strip() for name in text.split(",") if name.strip()]


def _dtype(text):
    from recalib_keras.inference.maps import MapRequest

    try:
        return MapRequest(probabilities=text).probabilities
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; give the scans before the options") from None


def _part(text):
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal():
        raise argparse.ArgumentTypeError(f"expected I/N such as 2/10, got {text!r}")
    return int(number), int(of)
