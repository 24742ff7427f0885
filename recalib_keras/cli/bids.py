"""recalib bids: segment a data set in BIDS, by the conventions of BIDS apps."""

from __future__ import annotations

import argparse
from pathlib import Path

from recalib_keras.cli.messages import print_line
from recalib_keras.cli.options import use_device, workers_of
from recalib_keras.cli.segmentation_options import (
    add_segmentation_arguments,
    batch_options,
    labels_of,
    run_batch,
    weight_sets_of,
)
from recalib_keras.core.messages import counted, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: The parser of the command.
    """
    parser.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="folder of the data set")
    parser.add_argument("output_dir", type=Path, metavar="OUT", help="folder of the derivatives")
    parser.add_argument(
        "level", choices=("participant", "group"), help="segment the scans, or write a table for each measure"
    )
    parser.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        default=(),
        metavar="LABEL",
        help="only these participants, with or without sub-",
    )
    parser.add_argument(
        "--session-id", "--session_id", nargs="+", default=(), metavar="LABEL", help="only these sessions"
    )
    parser.add_argument(
        "--skip-bids-validation",
        "--skip_bids_validation",
        action="store_true",
        help="do not run bids-validator, where it is installed",
    )
    add_segmentation_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Segments the scans or writes the group's tables; returns 1 if some scans could not be segmented.

    Args:
        arguments: The parsed arguments of the command.
    """
    from recalib_keras import reports
    from recalib_keras.inference import bids

    if arguments.level == "group":
        paths = bids.write_group(arguments.output_dir)
        print(printable(f"tables of the group in {paths[0].parent}: {', '.join(path.name for path in paths)}"))
        print(printable(f"page of the cohort in {reports.cohort_page(arguments.output_dir)}"))
        return 0
    bids.check_dataset(arguments.bids_dir)
    if not arguments.skip_bids_validation and not bids.validate(arguments.bids_dir):
        missing = "bids-validator-deno is not installed, so the data set is not validated"
        print_line("bids", f"{missing}; run: pip install bids-validator-deno")
    scans = bids.find_scans(arguments.bids_dir, arguments.participant_label, arguments.session_id)
    report = _segment(arguments, scans)
    for outcome in report.failed:
        print_line("bids", outcome.error, outcome.scan)
    done = len(report.outcomes) - len(report.failed)
    print(printable(f"labels of {counted(done, 'scan')} in {arguments.output_dir}"))
    if arguments.report and done:
        print(printable(f"page of the cohort in {reports.cohort_page(arguments.output_dir)}"))
    return 1 if report.failed else 0


def _segment(arguments, scans):
    from recalib_keras import zoo
    from recalib_keras.inference import Batch, bids

    workers = workers_of(arguments)
    use_device(arguments)
    weight_sets = weight_sets_of(arguments)
    options = batch_options(arguments, weight_sets)
    preset, labels = zoo.info(arguments.preset).name, labels_of(weight_sets)
    description = bids.description_of(preset)
    batch = Batch(
        [scan.path for scan in scans],
        arguments.output_dir,
        names=[scan.derivative(description) for scan in scans],
        sidecars=[scan.sidecar(arguments.bids_dir) for scan in scans],
        **options,
    )
    shown = (labels[0], *options["outputs"].chosen(labels))
    bids.write_description(arguments.output_dir, arguments.bids_dir, preset, shown)
    return run_batch("bids", batch, arguments, workers)
