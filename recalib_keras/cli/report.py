"""recalib report: the page of a cohort over a folder of results, and the pages of its scans that are missing."""

import argparse
import sys
from pathlib import Path

from recalib_keras.cli.messages import print_line
from recalib_keras.cli.options import add_worker_arguments, workers_of
from recalib_keras.core.messages import counted, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: The parser of the command.
    """
    parser.add_argument(
        "folder", type=Path, metavar="OUT", help="folder that `recalib segment` or `recalib bids` has written to"
    )
    parser.add_argument("--overwrite", action="store_true", help="make pages of scans again that exist already")
    add_worker_arguments(parser, "pages of scans")


def run(arguments: argparse.Namespace) -> int:
    """Writes the pages; returns 1 if the page of a scan could not be made.

    Args:
        arguments: The parsed arguments of the command.
    """
    from tqdm import tqdm

    from recalib_keras import reports

    with tqdm(unit=" pages", disable=None, leave=False, file=sys.stderr) as bar:
        outcomes = reports.write_pages(
            arguments.folder, arguments.overwrite, workers_of(arguments), on_page=lambda outcome: bar.update()
        )
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed:
        print_line("report", outcome.error, outcome.scan.scan)
    path = reports.cohort_page(arguments.folder)
    print(printable(f"page of the cohort in {path} ({counted(len(outcomes) - len(failed), 'new page')} of scans)"))
    return 1 if failed else 0
