"""A report in short: mean, deviation and median of each structure."""

import statistics
from dataclasses import dataclass

import numpy as np

from recalib_keras.evaluation.measures import MEASURES, NAN
from recalib_keras.evaluation.tables import write_table

MEAN = "mean of structures"
COLUMNS = ("structure", "label", "measure", "mean", "sd", "median", "scans", "missed", "spurious")


@dataclass(frozen=True)
class Summary:
    """One measure of one structure over all scans.

    Args:
        structure: its name, or `"mean of structures"` for the mean over the structures of each scan.
        label: its number; None for the mean.
        measure: one of `recalib_keras.evaluation.MEASURES`.
        mean, sd, median: over the scans that have a value; the deviation is that of a sample (divided by n - 1), NaN
            for a single scan.
        scans: the number of these scans.
        missed, spurious: in how many scans the structure is in the truth only, or in the prediction only.
    """

    structure: str
    label: int | None
    measure: str
    mean: float
    sd: float
    median: float
    scans: int
    missed: int
    spurious: int


def summarize(report):
    """Returns a `Summary` for each structure and for the mean of structures, and each of `MEASURES`.

    Args:
        report: `recalib_keras.evaluation.Report`.
    """
    missed, spurious = report.counts("truth only"), report.counts("prediction only")
    summaries = []
    for measure in MEASURES:
        values = report.values(measure)
        for (structure, label), of_structure in zip(report.labels.items(), values.T):
            counts = missed[structure], spurious[structure]
            summaries.append(Summary(structure, label, measure, *_statistics(of_structure), *counts))
        counts = sum(missed.values()), sum(spurious.values())
        summaries.append(Summary(MEAN, None, measure, *_statistics(report.scan_means(measure)), *counts))
    order = {structure: index for index, structure in enumerate([*report.structures, MEAN])}
    return sorted(summaries, key=lambda summary: order[summary.structure])


def write_summary(report, path):
    """Writes the summaries of a report as CSV."""
    return write_table(
        path,
        COLUMNS,
        [
            tuple("" if value is None else value for value in (getattr(summary, column) for column in COLUMNS))
            for summary in summarize(report)
        ],
    )


def _statistics(values):
    """Returns mean, deviation, median and number of the values that are no NaN."""
    values = values[~np.isnan(values)].tolist()
    if not values:
        return NAN, NAN, NAN, 0
    deviation = statistics.stdev(values) if len(values) > 1 else NAN
    return statistics.fmean(values), deviation, statistics.median(values), len(values)
