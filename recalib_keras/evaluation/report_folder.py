"""A report as a folder: tables and figures."""

from pathlib import Path

from recalib_keras.evaluation.figures.boxplots import boxplots
from recalib_keras.evaluation.figures.panels import best_median_worst, panels
from recalib_keras.evaluation.figures.volume_scatter import volume_scatter
from recalib_keras.evaluation.report import Report
from recalib_keras.evaluation.summary import write_summary

REPORT, SUMMARY = "report.csv", "summary.csv"


def write_tables(report, folder) -> None:
    """Writes `report.csv`, a row for each scan and structure, and `summary.csv`, a row for each structure and measure.

    Args:
        report: `recalib_keras.evaluation.Report`.
        folder: path; made if it is missing.
    """
    report.write(Path(folder) / REPORT)
    write_summary(report, Path(folder) / SUMMARY)


def write_figures(report, folder, structures, cases=()) -> None:
    """Writes `boxplots.png`, `volumes.png` and, where the scans themselves are at hand, `panels.png`.

    The panels show the best, the median and the worst scan by Dice.

    Args:
        report: `recalib_keras.evaluation.Report`.
        folder: path; made if it is missing.
        structures: sequence of things with an `id`, a `name` and a `color` (RGB, 0 to 255).
        cases: sequence of `recalib_keras.evaluation.Case`, those of the report.

    Raises:
        ImportError: matplotlib is not installed.
        VolumeError: a scan cannot be read or does not stand on the grid of its label maps.
    """
    folder = Path(folder)
    boxplots(report, folder / "boxplots.png", structures)
    volume_scatter(report, folder / "volumes.png", structures)
    chosen = best_median_worst(report)
    by_name = {case.name: case for case in cases if case.read_image is not None}
    if chosen and all(name in by_name for name in chosen.values()):
        means = dict(zip(report.scans, report.scan_means("dice")))
        rows = {f"{rank}: {name}, Dice {means[name]:.3f}": _row(by_name[name]) for rank, name in chosen.items()}
        panels(rows, structures, folder / "panels.png")


def find_report(path):
    """Returns the report in a CSV file, or in a folder that `write_tables` filled.

    Raises:
        ValueError: see `recalib_keras.evaluation.Report.read`.
    """
    path = Path(path)
    return Report.read(path / REPORT if path.is_dir() else path)


def _row(case):
    """Returns image, truth and prediction."""
    prediction, truth = case.read_maps()
    return case.read_image(), truth, prediction
