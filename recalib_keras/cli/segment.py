"""recalib segment: labels, volumes and pictures of one scan or thousands."""

import argparse
from pathlib import Path

from recalib_keras.cli.messages import ERRORS, print_line
from recalib_keras.cli.options import use_device, workers_of
from recalib_keras.cli.segmentation_options import (
    add_segmentation_arguments,
    batch_options,
    run_batch,
    weight_sets_of,
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
    add_segmentation_arguments(parser)
    parser.add_argument(
        "--dicom-seg", action="store_true", help="also write a DICOM Segmentation object of each DICOM series"
    )
    parser.add_argument("--volume", type=int, metavar="I", help="index of the volume to take from 4-D scans, from 0")
    parser.add_argument(
        "--wide", action="store_true", help="also write volumes_wide.csv: a row for each scan, a column a structure"
    )
    parser.add_argument(
        "--part", type=_part, metavar="I/N", help="only every N-th scan from the I-th on: the share of one of N jobs"
    )


def run(arguments: argparse.Namespace) -> int:
    """Segments each scan; returns 1 if some of several could not be segmented."""
    from recalib_keras.inference import Batch

    workers = workers_of(arguments)
    use_device(arguments)
    weight_sets = weight_sets_of(arguments)
    batch = Batch(
        arguments.scans,
        arguments.output,
        volume=arguments.volume,
        part=arguments.part,
        **batch_options(arguments, weight_sets, arguments.dicom_seg),
    )
    is_single = len(batch.targets) == 1 and workers.is_here
    outcomes: list = []
    try:
        run_batch("segment", batch, arguments, workers, outcomes.append)
    finally:
        _report(batch, outcomes, is_single)
    if arguments.report:
        _print_pages(batch, outcomes)
    if arguments.wide and batch.table.path.exists():
        print(printable(f"a row for each scan in {batch.write_wide_table()}"))
    if is_single and outcomes[0].error is not None:
        raise outcomes[0].error
    return 1 if any(outcome.error is not None for outcome in outcomes) else 0


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


def _part(text):
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal():
        raise argparse.ArgumentTypeError(f"expected I/N such as 2/10, got {text!r}")
    return int(number), int(of)
