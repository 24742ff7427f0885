"""recalib segment: labels, volumes and pictures of one scan or thousands."""

import argparse
import functools
import sys
from pathlib import Path

from recalib_keras.cli.messages import ERRORS, format_line, print_line
from recalib_keras.cli.options import (
    add_flip_argument,
    add_preset_arguments,
    add_report_argument,
    add_worker_arguments,
    named_weights,
    reporter_of,
    workers_of,
)
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
    parser.add_argument("--volume", type=int, metavar="I", help="index of the volume to take from 4-D scans, from 0")
    parser.add_argument("--overlay", action="store_true", help="also draw a picture of each scan with its labels")
    add_report_argument(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="segment again where labels exist already (default: keep them)"
    )
    add_flip_argument(parser)
    parser.add_argument(
        "--engine",
        choices=("auto", "keras", "openvino"),
        default="auto",
        help="what computes; auto (default): the fastest here with the same labels, selected once and remembered",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="number format of the computation; auto (default): selected with the engine",
    )
    parser.add_argument(
        "--wide", action="store_true", help="also write volumes_wide.csv: a row for each scan, a column a structure"
    )
    parser.add_argument(
        "--part", type=_part, metavar="I/N", help="only every N-th scan from the I-th on: the share of one of N jobs"
    )
    add_worker_arguments(parser, "scans")


def run(arguments: argparse.Namespace) -> int:
    """Segments each scan; returns 1 if some of several could not be segmented."""
    from recalib_keras import zoo
    from recalib_keras.inference import Batch

    preset, workers = zoo.info(arguments.preset), workers_of(arguments)
    first = next(iter(preset.shares(named_weights(arguments.weights))))
    batch = Batch(
        arguments.scans,
        arguments.output,
        volume=arguments.volume,
        overwrite=arguments.overwrite,
        draw_overlays=arguments.overlay,
        reporter=reporter_of(arguments),
        channels=zoo.weight_set(arguments.preset, first).input.num_channels,
        part=arguments.part,
    )
    segmenter, outcomes = _load_segmenter(arguments, workers), []
    is_single = len(batch.targets) == 1 and workers.is_here
    with _bar(batch.targets, "scans", disable=is_single or None) as bar:

        def on_scan(outcome):
            outcomes.append(outcome)
            if outcome.warnings:
                bar.write(format_line("segment", f"{outcome.scan}: {'; '.join(outcome.warnings)}"), file=sys.stderr)
            bar.update()

        def windows_bar(windows):
            return _bar(windows, "windows", disable=not is_single or None)

        try:
            batch.run(segmenter, on_scan, windows_bar, workers)
        finally:
            bar.close()
            _report(batch, outcomes, is_single)
    if arguments.report:
        _print_pages(batch, outcomes)
    if arguments.wide and batch.table.path.exists():
        print(printable(f"a row for each scan in {batch.write_wide_table()}"))
    if is_single and outcomes[0].error is not None:
        raise outcomes[0].error
    return 1 if any(outcome.error is not None for outcome in outcomes) else 0


def _load_segmenter(arguments, workers):
    """Returns the segmenter, which takes several seconds if it needs Keras; for workers, what opens it there."""
    from recalib_keras import zoo
    from recalib_keras.inference import Undecided, open_segmenter

    weights = named_weights(arguments.weights)
    settings = {"flips": arguments.flip, "engine": arguments.engine, "precision": arguments.precision}
    opener = functools.partial(open_segmenter, arguments.preset, weights, **settings, threads=workers.threads_each)
    if not workers.is_here:
        for name in zoo.info(arguments.preset).shares(weights):
            zoo.weight_set(arguments.preset, name)  # a wrong name is an error here, not on every worker
        return opener
    segmenter = opener()
    if sys.stderr.isatty() and any(isinstance(engine, Undecided) for engine in segmenter.engines):
        print_line("segment", "the first scan selects the engine; this takes a while, once")
    return segmenter


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


def _bar(items, unit, disable):
    """Returns the items behind a progress bar; only on a terminal, for `disable=None`."""
    from tqdm import tqdm

    return tqdm(items, unit=f" {unit}", disable=disable, leave=False, dynamic_ncols=True)


def _part(text):
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal():
        raise argparse.ArgumentTypeError(f"expected I/N such as 2/10, got {text!r}")
    return int(number), int(of)
