"""How much of the training scans each class takes, and how often windows are centred on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recalib_keras.training.data.examples import Scan
    from recalib_keras.training.recipe import Recipe

COLUMNS = ("label", "name", "scans", "voxels", "share", "centred")


@dataclass(frozen=True)
class ClassShare:
    """One class in the training scans.

    Args:
        label: Its number.
        name: Its name.
        scans: How many scans have it.
        voxels: How many voxels of all scans.
        share: The same as a share of all voxels.
        centred: Share of the examples that are centred on a voxel of it, to be expected in an epoch; the windows at
            random places, which may hold it too, do not count.
    """

    label: int
    name: str
    scans: int
    voxels: int
    share: float
    centred: float


def shares_of(recipe: Recipe) -> np.ndarray | None:
    """Returns how often foreground examples choose each class, relative to the others; None to choose any voxel.

    A class has the share that the recipe gives its label, else 1, and the background 0.

    Args:
        recipe: The recipe; see `sampling` and `class_shares` of its schedule.
    """
    if recipe.schedule.sampling != "class":
        return None
    given = recipe.schedule.class_shares
    return np.array([given.get(str(label.id), float(index > 0)) for index, label in enumerate(recipe.labels)])


def chosen_shares(counts: np.ndarray, by_class: np.ndarray | None, known: Sequence[bool] | None = None) -> np.ndarray:
    """Returns with which probability the voxel in the centre of a foreground example of a scan has each class.

    Args:
        counts: Voxels of each class in the scan, `(classes,)`.
        by_class: Shares of the classes as from `shares_of`; None to choose any voxel of the foreground.
        known: Whether each class was looked for in the scan; None for all. Otherwise a voxel without a label need not
            be background, and none is chosen.

    Returns:
        Probabilities `(classes,)`; all 0 if the scan has none of the classes.

    Example:
        >>> counts = np.array([90, 9, 1])
        >>> chosen_shares(counts, None).tolist(), chosen_shares(counts, np.array([0.0, 1.0, 1.0])).tolist()
        ([0.0, 0.9, 0.1], [0.0, 0.5, 0.5])
    """
    weights = np.array([0.0, *counts[1:]]) if by_class is None else by_class * (counts[: len(by_class)] > 0)
    if known is not None and not all(known):
        weights[0] = 0.0
    return weights / (weights.sum() or 1.0)


def class_balance(scans: Sequence[Scan], recipe: Recipe) -> list[ClassShare]:
    """Returns the share of each class in scans that are learned from, the background first.

    Args:
        scans: The scans.
        recipe: The recipe of the training.
    """
    by_scan = np.stack([np.asarray(scan.counts).sum(axis=0, dtype=np.int64) for scan in scans])
    by_class = shares_of(recipe)
    chosen = [chosen_shares(counts, by_class, scan.known) for counts, scan in zip(by_scan, scans)]
    labelled = 1 - (0 if recipe.mixture is None else recipe.mixture.share)
    centred = labelled * recipe.schedule.foreground * np.mean(chosen, axis=0)
    totals: Any = by_scan.sum(axis=0)
    return [
        ClassShare(label.id, label.name, int(has.sum()), int(voxels), voxels / totals.sum(), float(often))
        for label, has, voxels, often in zip(recipe.labels, (by_scan > 0).T, totals, centred)
    ]
