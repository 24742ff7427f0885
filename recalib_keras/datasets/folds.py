"""Folds of cross-validation: groups of patients, alike in which labels they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping


def stratified_folds(labels: Mapping[str, Collection[int]], count: int) -> dict[str, int]:
    """Returns the fold of each patient, from 1, so that each fold has its share of the patients with each label.

    The patients of the rarest label are dealt out first, each to the fold that most lacks it; then those of the next
    rarest label among the patients that are left. Ties go to the fold with the fewest patients, then to the first. The
    same patients and labels always give the same folds.

    Args:
        labels: For each patient, in order, the labels that any of their scans has.
        count: Number of folds, at least 2.

    Raises:
        ValueError: There are fewer patients than folds, or fewer than 2 folds.

    Example:
        >>> stratified_folds({"a": [1], "b": [1], "c": [1, 2], "d": [1, 2]}, 2)
        {'c': 1, 'd': 2, 'a': 1, 'b': 2}

    Reference:
        Sechidis et al., "On the stratification of multi-label data", ECML PKDD 2011.
    """
    if count < 2 or len(labels) < count:
        remedy = "choose another number" if len(labels) > 1 else "folds need two patients at least"
        raise ValueError(f"expected from 2 folds to one for each of {len(labels)} patients, got {count}; {remedy}")
    left = {patient: frozenset(found) for patient, found in labels.items()}
    patients, has = Counter[int](), {fold: Counter[int]() for fold in range(1, count + 1)}
    folds: dict[str, int] = {}
    while left:
        rarest = _rarest(left)
        for patient in [patient for patient, found in left.items() if rarest is None or rarest in found]:
            fold = min(has, key=lambda fold: (has[fold][rarest], patients[fold], fold))
            folds[patient] = fold
            patients[fold] += 1
            has[fold].update(left.pop(patient))
    return folds


def _rarest(left):
    """Returns the label that the fewest of some patients have; None if they have none."""
    counts = Counter(label for found in left.values() for label in found)
    return min(counts, key=lambda label: (counts[label], label), default=None)
