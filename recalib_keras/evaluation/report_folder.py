"""A report as a folder: tables and figures."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from recalib_keras.evaluation.cases import Case
from recalib_keras.evaluation.figures.bland_altman import bland_altman
from recalib_keras.evaluation.figures.boxplots import boxplots
from recalib_keras.evaluation.figures.canvas import check_format
from recalib_keras.evaluation.figures.panels import best_median_worst, panels
from recalib_keras.evaluation.figures.volume_scatter import volume_scatter
from recalib_keras.evaluation.report import Report, write_summary
from recalib_keras.evaluation.structures import StructureLike

REPORT, SUMMARY = "report.csv", "summary.csv"


def write_tables(report: Report, folder: str | os.PathLike) -> None:
    """Writes `report.csv`, a row for each scan and structure, and `summary.csv`, a row for each structure and measure.

    Args:
        report: The report.
        folder: Folder to write to; created if it is missing.

    Raises:
        WriteError: If a file cannot be written.
    """
    report.write(Path(folder) / REPORT)
    write_summary(report, Path(folder) / SUMMARY)


def write_figures(
    report: Report,
    folder: str | os.PathLike,
    structures: Sequence[StructureLike],
    cases: Iterable[Case] = (),
    format: str = "png",
) -> None:
    """Writes `boxplots.png`, `volumes.png`, `bland_altman.png` and, where there are the scans themselves, `panels.png`.

    The panels show the best, the median and the worst scan by Dice.

    Args:
        report: The report.
        folder: Folder to write to; created if it is missing.
        structures: The structures of the report; their colours are used.
        cases: Scans of the report.
        format: Format of the figures, and suffix of their files: png, svg or pdf.

    Raises:
        ValueError: If the format is another one.
        ImportError: If matplotlib is not installed.
        VolumeError: If a scan cannot be read, or is not on the grid of its label maps.
        WriteError: If a file cannot be written.
    """
    check_format(format)
    folder = Path(folder)
    boxplots(report, folder / f"boxplots.{format}", structures)
    volume_scatter(report, folder / f"volumes.{format}", structures)
    bland_altman(report, folder / f"bland_altman.{format}", structures)
    chosen = best_median_worst(report)
    by_name = {case.name: case for case in cases if case.read_image is not None}
    if chosen and all(name in by_name for name in chosen.values()):
        means = dict(zip(report.scans, report.scan_means("dice")))
        rows = {f"{rank}: {name}, Dice {means[name]:.3f}": _row(by_name[name]) for rank, name in chosen.items()}
        panels(rows, structures, folder / f"panels.{format}")


def find_report(path: str | os.PathLike) -> Report:
    """Returns the report in a CSV file, or in a folder that `write_tables` filled.

    Args:
        path: The file or the folder.

    Raises:
        TableError: If there is no valid report; see `Report.read`.
    """
    path = Path(path)
    return Report.read(path / REPORT if path.is_dir() else path)


def _row(case):
    """Returns image, ground truth and prediction."""
    prediction, truth = case.read_maps()
    return case.read_image(), truth, prediction
