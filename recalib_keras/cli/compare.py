"""recalib compare: test whether reports of the same scans differ, structure by structure."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recalib_keras.cli.messages import print_line
from recalib_keras.core.messages import listed, printable

if TYPE_CHECKING:
    from recalib_keras.evaluation import Difference, Report

METHOD = """\
Reports are compared two at a time, scan by scan. A difference is the second report minus the first. For each structure,
and for the mean over the structures of each scan:

  mean, median   difference, with its percentile bootstrap interval
  effect         matched-pairs rank-biserial correlation: 1 if the second is larger in all scans, -1 if the first is
  p              two-sided p of Wilcoxon's signed-rank test, without zero differences
  p (Holm)       p corrected by Holm's method, separately for each measure: for the mean over all pairs of reports, for
                 the structures over all structures and pairs

With fewer than 6 pairs (or differences other than zero) p could never reach 0.05, so no test is made. If all
differences are zero, p is 1. Scans and structures that are not in all reports are excluded and listed. Values that only
one of two reports has, such as the distance of a structure that the other missed, are excluded and counted.
"""
COLUMNS = ("", "scans", "means", "mean difference", "median difference", "effect", "p", "p (Holm)", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: Parser of the command.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = METHOD
    parser.add_argument(
        "reports",
        nargs="+",
        type=Path,
        metavar="REPORT",
        help="output of `recalib evaluate -o`: a .csv file or a folder; give two or more",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="TABLE.csv", help="also write all comparisons as a table")
    parser.add_argument(
        "--measures",
        nargs="+",
        default=["dice"],
        metavar="NAME",
        help="measures to compare, columns of the reports (default: dice)",
    )
    parser.add_argument(
        "--boxplots",
        type=Path,
        metavar="FILE.png",
        help="also draw box plots side by side (.png, .svg or .pdf)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="P", help="confidence of the intervals (default: 0.95)"
    )
    parser.add_argument("--resamples", type=int, default=9999, metavar="N", help="bootstrap samples (default: 9999)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the bootstrap (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """Prints a table for each structure and for the mean of structures, and writes what was requested.

    Args:
        arguments: Arguments of the command.

    Returns:
        0.
    """
    _check(arguments)
    from recalib_keras import evaluation

    reports = {name: evaluation.find_report(path) for name, path in zip(_names(arguments.reports), arguments.reports)}
    _print_left_out(reports)
    differences = [
        difference
        for measure in arguments.measures
        for difference in evaluation.compare(
            reports, measure, arguments.confidence, arguments.resamples, arguments.seed
        )
    ]
    tables: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        tables.setdefault((difference.structure, difference.measure), []).append(difference)
    print("\n\n".join(_table(*key, rows, arguments.confidence) for key, rows in tables.items()))
    if arguments.output is not None:
        evaluation.write_comparison(differences, arguments.output)
        print(f"\n{printable(f'comparison in {arguments.output}')}")
    if arguments.boxplots is not None:
        evaluation.boxplots(reports, arguments.boxplots, measures=arguments.measures)
        print(printable(f"box plots in {arguments.boxplots}"))
    return 0


def _check(arguments):
    if len(arguments.reports) < 2:
        raise ValueError("expected two reports or more to compare, got one; add another")
    if not 0 < arguments.confidence < 1:
        raise ValueError(f"expected --confidence between 0 and 1, got {arguments.confidence}; 0.95 is usual")
    if arguments.resamples < 1:
        raise ValueError(f"expected --resamples of 1 or more, got {arguments.resamples}; 9999 is usual")
    if arguments.seed < 0:
        raise ValueError(f"expected --seed of 0 or more, got {arguments.seed}; choose any such number")


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns a name for each report: the name of its file, or of its folder if the file is called report.csv."""
    whole = [path.resolve() for path in paths]
    if len(set(whole)) < len(whole):
        raise ValueError("expected different reports, got one of them twice; leave it out")
    folders = [path if path.is_dir() else path.parent for path in whole]
    names = [
        folder.name if path.is_dir() or path.name == "report.csv" else path.stem for path, folder in zip(whole, folders)
    ]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _print_left_out(reports: Mapping[str, Report]) -> None:
    from recalib_keras import evaluation

    for kind, common in zip(("scans", "structures"), evaluation.in_all(reports)):
        for name, report in reports.items():
            names = getattr(report, kind)
            left_out = [item for item in names if item not in common]
            if left_out:
                count = f"{len(left_out)} of {len(names)} {kind}"
                message = f"{name}: {count} are not in all reports and are excluded: {listed(left_out, most=5)}"
                print_line("compare", message)


def _table(structure: str, measure: str, differences: Sequence[Difference], confidence: float) -> str:
    """Returns the comparisons of one structure as text."""
    from recalib_keras.evaluation import MEASURES

    digits = 3 if "_mm" in measure else 4
    rows = [
        (
            f"{one.first} → {one.second}",
            str(one.pairs),
            f"{_number(one.first_mean, digits)} → {_number(one.second_mean, digits)}",
            _with_interval(one.mean, one.mean_low, one.mean_high, digits),
            _with_interval(one.median, one.median_low, one.median_high, digits),
            _number(one.rank_biserial, 2, "+"),
            _p_value(one.p),
            _p_value(one.p_holm),
            one.remark,
        )
        for one in differences
    ]
    table = [COLUMNS, *rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
    return "\n".join([f"{structure}: {MEASURES[measure]}, intervals of {100 * confidence:g} %", *lines])


def _with_interval(value, low, high, digits):
    value, low, high = (_number(number, digits, "+") for number in (value, low, high))
    return f"{value} [{low}, {high}]"


def _number(value, digits, sign=""):
    return "–" if math.isnan(value) else f"{value:{sign}.{digits}f}"


def _p_value(p):
    if math.isnan(p):
        return "–"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
