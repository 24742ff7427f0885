"""Compare reports of the same scans, two at a time."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from recalib_keras.core.messages import counted, did_you_mean, listed
from recalib_keras.core.tables import write_csv
from recalib_keras.evaluation.measures import MEASURES
from recalib_keras.evaluation.paired_statistics import (
    CONFIDENCE,
    RESAMPLES,
    SEED,
    bootstrap_interval,
    holm,
    rank_biserial_correlation,
    signed_rank_test,
)
from recalib_keras.evaluation.report import DECIMALS, MEAN, Report, mean_over_structures


@dataclass(frozen=True)
class Difference:
    """How two reports differ in one measure of one structure, over the scans that have a value in both.

    All differences are `second - first`, scan by scan.

    Args:
        measure: One of `recalib_keras.evaluation.MEASURES`.
        structure: Name of the structure, or `"mean of structures"`.
        first: Name of the first report.
        second: Name of the second report.
        pairs: Number of scans that are compared.
        first_mean: Mean of the first report over these scans.
        second_mean: Mean of the second report over these scans.
        mean: Mean difference.
        mean_low: Lower end of its bootstrap interval.
        mean_high: Upper end of its bootstrap interval.
        median: Median difference.
        median_low: Lower end of its bootstrap interval.
        median_high: Upper end of its bootstrap interval.
        rank_biserial: Matched-pairs rank-biserial correlation, the size of the effect from -1 to 1.
        statistic: Statistic of Wilcoxon's signed-rank test.
        p: Two-sided p of this test.
        p_holm: p corrected for many tests; see `compare`.
        remark: Why there is no test, and what was left out.
    """

    measure: str
    structure: str
    first: str
    second: str
    pairs: int
    first_mean: float
    second_mean: float
    mean: float
    mean_low: float
    mean_high: float
    median: float
    median_low: float
    median_high: float
    rank_biserial: float
    statistic: float
    p: float
    p_holm: float
    remark: str


COLUMNS = tuple(field.name for field in fields(Difference))


def compare(
    reports: Mapping[str, Report],
    measure: str = "dice",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    by_structure: bool = True,
) -> list[Difference]:
    """Returns how each two reports differ: for each structure, then for the mean of structures.

    Only scans and structures that all reports have are compared; see `in_all`. Of those, a pair of reports is compared
    on the values that both have, for the mean of structures too. A structure that was missed has a Dice of 0 but no
    distance, so look at the Dice before the distances.

    P-values are corrected by Holm's method in two families. One is the mean of structures, which answers the main
    question, over all pairs of reports. The other is the single structures, over all structures and pairs.

    Args:
        reports: At least two reports, by name.
        measure: One of `recalib_keras.evaluation.MEASURES`.
        confidence: Confidence of the bootstrap intervals, from 0 to 1.
        resamples: Number of bootstrap samples; 0 for no intervals, whose ends are then NaN.
        seed: Seed of the bootstrap.
        by_structure: Whether to compare each structure, too, and not the mean of structures alone.

    Raises:
        ValueError: If the measure is unknown, there are fewer than two reports, or the reports have no scan or no
            structure in common.
    """
    if measure not in MEASURES:
        hint = did_you_mean(measure, MEASURES, otherwise="choose one of them")
        raise ValueError(f"expected `measure` to be one of {', '.join(MEASURES)}, got {measure!r}; {hint}")
    scans, structures = in_all(reports)
    values = {name: _selected(report, measure, scans, structures) for name, report in reports.items()}
    found = []
    for family in (structures, [MEAN]) if by_structure else ([MEAN],):
        differences = [
            _difference(values, pair, structure, (measure, structures), (confidence, resamples, seed))
            for structure in family
            for pair in itertools.combinations(reports, 2)
        ]
        corrected = holm([difference.p for difference in differences])
        found += [replace(difference, p_holm=p) for difference, p in zip(differences, corrected)]
    return found


def in_all(reports: Mapping[str, Report]) -> tuple[list[str], list[str]]:
    """Returns the scans and the structures that all reports have, by name, in the order of the first report.

    Args:
        reports: At least two reports, by name.

    Raises:
        ValueError: If there are fewer than two reports, or no such scan or structure.
    """
    if len(reports) < 2:
        raise ValueError(f"expected two reports or more to compare, got {len(reports)}; add one")
    return _common(reports, "scans"), _common(reports, "structures")


def write_comparison(differences: list[Difference], path: str | os.PathLike) -> Path:
    """Writes differences as CSV, a row for each.

    Args:
        differences: What `compare` returns.
        path: The file to create or replace. Missing parent folders are created.

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: If the file cannot be written.
    """
    rows = [[getattr(difference, column) for column in COLUMNS] for difference in differences]
    return write_csv(path, COLUMNS, rows, DECIMALS)


def _common(reports, kind):
    """Returns the `scans` or `structures` of all reports."""
    first, *others = (getattr(report, kind) for report in reports.values())
    common = [name for name in first if all(name in other for other in others)]
    if not common:
        lists = "; ".join(f"{name} has {listed(getattr(report, kind), most=3)}" for name, report in reports.items())
        raise ValueError(f"expected reports of the same {kind}, got none that all of them have: {lists}")
    return common


def _selected(report, measure, scans, structures):
    """Returns the values `(scans, structures)` in the order given."""
    rows = {name: index for index, name in enumerate(report.scans)}
    columns = {name: index for index, name in enumerate(report.structures)}
    return report.values(measure)[np.ix_([rows[name] for name in scans], [columns[name] for name in structures])]


def _difference(values, pair, structure, what, bootstrap):
    """Returns the `Difference` of two reports, before the correction for many tests.

    Args:
        values: Arrays `(scans, structures)` by report.
        pair: Names of two reports.
        structure: Name of the structure, or `MEAN`.
        what: The measure, and the names of the structures in `values`.
        bootstrap: Confidence, resamples and seed.
    """
    measure, structures = what
    table = np.stack([values[name] for name in pair])
    if structure != MEAN:
        table = table[..., [structures.index(structure)]]
    is_in_both = np.isfinite(table).all(axis=0)
    in_one = int(np.isfinite(table).any(axis=0).sum() - is_in_both.sum())
    table = np.where(is_in_both, table, np.nan)
    first, second = (column[is_in_both.any(axis=1)] for column in map(mean_over_structures, table))
    differences = second - first
    statistic, p, remark = signed_rank_test(differences)
    left_out = f"{counted(in_one, 'value')} in one report only, left out" if in_one else ""
    return Difference(
        measure,
        structure,
        *pair,
        len(differences),
        _mean(first),
        _mean(second),
        _mean(differences),
        *bootstrap_interval(differences, np.mean, *bootstrap),
        float(np.median(differences)) if len(differences) else np.nan,
        *bootstrap_interval(differences, np.median, *bootstrap),
        rank_biserial_correlation(differences),
        statistic,
        p,
        p,
        "; ".join(part for part in (remark, left_out) if part),
    )


def _mean(values):
    return float(values.mean()) if len(values) else np.nan
