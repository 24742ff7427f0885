"""Which classes a voxel of a scan may have, where not everything was looked for: the codes that a loss understands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from keras import ops

from recalib_keras.datasets import LabelledScan
from recalib_keras.zoo.labels import Label, counterpart_classes

Tensor = Any  # of the backend in use, which Keras has no type for


@dataclass(frozen=True)
class LabelSets:
    """The sets of classes that voxels of some scans may have; see `recalib_keras.training.losses.targets`.

    Where some structures of a scan were never looked for, a voxel without a label may be background or one of them.
    A voxel with the set's ignore label may be anything.

    Args:
        num_classes: Number of classes, the background included.
        sets: The classes of each code from `num_classes` on. The first set holds all classes. None, if everything is
            known everywhere.

    Example:
        >>> sets = LabelSets(3, ((0, 1, 2), (0, 2)))
        >>> sets.anything, sets.background_code([True, True, False]), sets.background_code([True, True, True])
        (3, 4, 0)
    """

    num_classes: int
    sets: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, scans: Iterable[LabelledScan], labels: Sequence[Label]) -> Self:
        """Returns the sets that voxels of scans may have, and those of their mirror images.

        Args:
            scans: The scans.
            labels: The labels of the network, in the order of its classes.
        """
        scans, everything = list(scans), tuple(range(len(labels)))
        mirrored = np.array(counterpart_classes(labels))
        masks = {tuple(known_classes(scan, labels)) for scan in scans}
        masks |= {tuple(np.array(mask)[mirrored].tolist()) for mask in masks}
        partial = sorted({possible(mask) for mask in masks if not all(mask)} - {everything})
        is_ignoring = any(scan.ignore is not None for scan in scans)
        if not partial and not is_ignoring and all(map(all, masks)):
            return cls(len(labels))
        return cls(len(labels), (everything, *partial))

    @property
    def anything(self) -> int:
        """The code of a voxel that may have any class."""
        return self.num_classes

    def background_code(self, known: Sequence[bool]) -> int:
        """Returns the code of a voxel without a label in a scan of which some classes are known.

        Args:
            known: Whether each class was looked for.
        """
        return 0 if all(known) else self.num_classes + self.sets.index(possible(known))

    def coded(self, classes: Tensor, known: Sequence[Sequence[bool]]) -> Tensor:
        """Returns the codes of windows: where they have no label, that of what was not looked for.

        Args:
            classes: `(batch, *spatial, 1)`, a tensor or an array; the result is of the same kind.
            known: For each window whether each class was looked for.
        """
        codes = np.array([self.background_code(one) for one in known], "int32")
        if not codes.any():
            return classes
        if isinstance(classes, np.ndarray):
            return np.where(classes == 0, _along(codes, classes), classes.astype("int32"))
        return ops.where(classes == 0, ops.convert_to_tensor(_along(codes, classes)), ops.cast(classes, "int32"))


def possible(known: Sequence[bool]) -> tuple[int, ...]:
    """Returns the classes that a voxel without a label may have: the background, and those not looked for.

    Args:
        known: Whether each class was looked for.
    """
    return (0, *(index for index, is_known in enumerate(known) if index and not is_known))


def known_classes(scan: LabelledScan, labels: Sequence[Label]) -> list[bool]:
    """Returns for each class whether it was looked for in a scan; the background always is.

    Args:
        scan: The scan.
        labels: The labels of the network, in the order of its classes.
    """
    return [index == 0 or scan.knows(label.id) for index, label in enumerate(labels)]


def _along(codes, classes):
    return codes.reshape(-1, *(1,) * (len(classes.shape) - 1))
