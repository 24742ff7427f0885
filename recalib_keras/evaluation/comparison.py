"""Compare reports of the same scans, two at a time."""

import itertools
from dataclasses import dataclass, fields, replace

import numpy as np

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
from recalib_keras.evaluation.report import mean_over_structures
from recalib_keras.evaluation.summary import MEAN
from recalib_keras.evaluation.tables import write_table


@dataclass(frozen=True)
class Difference:
    """How two reports differ in one measure of one structure, over the scans that have a value in both.

    Args:
        measure: one of `recalib_keras.evaluation.MEASURES`.
        structure: its name, or `"mean of structures"`.
        first, second: names of the reports. All differences are `second - first`, scan by scan.
        pairs: number of scans that are compared.
        first_mean, second_mean: over these scans.
        mean, mean_low, mean_high: mean difference and its bootstrap interval.
        median, median_low, median_high: median difference and its bootstrap interval.
        rank_biserial: matched-pairs rank-biserial correlation, the size of the effect from -1 to 1.
        statistic, p: of Wilcoxon's signed-rank test, two-sided.
        p_holm: p corrected for many tests; see `compare`.
        remark: why there is no test, and what was left out.
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


def compare(reports, measure="dice", confidence=CONFIDENCE, resamples=RESAMPLES, seed=SEED):
    """Returns how each two reports differ, as a list of `Difference`: for each structure, then for their mean.

    Only scans and structures that all reports have are compared (see `in_all`), and of those only values that both
    reports of a pair have: for the mean of structures too, so that like is compared with like. A structure that was
    missed has a Dice of 0 but no distance, so look at the Dice before the distances.

    P-values are corrected by Holm's method in two families: the mean of structures, as the one question asked first,
    over the pairs of reports; the single structures over all structures and pairs.

    Args:
        reports: dict of `recalib_keras.evaluation.Report` by name, at least two.
        measure: one of `recalib_keras.evaluation.MEASURES`.
        confidence, resamples, seed: of the bootstrap intervals.

    Raises:
        ValueError: for an unknown measure, fewer than two reports, or reports without a common scan or structure.
    """
    if measure not in MEASURES:
        raise ValueError(f"`measure` must be one of {', '.join(MEASURES)}. Received: {measure!r}")
    scans, structures = in_all(reports)
    values = {name: _selected(report, measure, scans, structures) for name, report in reports.items()}
    found = []
    for family in (structures, [MEAN]):
        differences = [
            _difference(values, pair, structure, (measure, structures), (confidence, resamples, seed))
            for structure in family
            for pair in itertools.combinations(reports, 2)
        ]
        corrected = holm([difference.p for difference in differences])
        found += [replace(difference, p_holm=p) for difference, p in zip(differences, corrected)]
    return found


def in_all(reports):
    """Returns the scans and the structures that all reports have, by name, in the order of the first.

    Raises:
        ValueError: for fewer than two reports, or if there is no such scan or structure.
    """
    if len(reports) < 2:
        raise ValueError(f"expected two reports or more to compare, got {len(reports)}")
    common = []
    for kind in ("scans", "structures"):
        first, *others = (getattr(report, kind) for report in reports.values())
        common.append([name for name in first if all(name in other for other in others)])
        if not common[-1]:
            lists = "; ".join(f"{name} has {_in_short(getattr(report, kind))}" for name, report in reports.items())
            raise ValueError(f"expected reports of the same {kind}, got none that all of them have: {lists}")
    return common


def write_comparison(differences, path):
    """Writes a list of `Difference` as CSV."""
    rows = [[getattr(difference, column) for column in COLUMNS] for difference in differences]
    return write_table(path, COLUMNS, rows)


def _selected(report, measure, scans, structures):
    """Returns the values `(scans, structures)` in the order given."""
    rows = {name: index for index, name in enumerate(report.scans)}
    columns = {name: index for index, name in enumerate(report.structures)}
    return report.values(measure)[np.ix_([rows[name] for name in scans], [columns[name] for name in structures])]


def _difference(values, pair, structure, what, bootstrap):
    """Returns the `Difference` of two reports, not yet corrected for many tests.

    Args:
        values: arrays `(scans, structures)` by report.
        pair: names of two reports.
        structure: name of the structure, or `MEAN`.
        what: the measure, and the names of the structures in `values`.
        bootstrap: confidence, resamples and seed.
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
    left_out = f"{in_one} {'value' if in_one == 1 else 'values'} in one report only, left out" if in_one else ""
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


def _in_short(names):
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
