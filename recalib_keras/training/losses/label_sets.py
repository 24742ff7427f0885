"""Which classes a voxel of a scan may have, where not everything was looked for: the codes that a loss understands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from keras import ops

from recalib_keras.datasets import LabelledScan
from recalib_keras.zoo.labels import Label, counterpart_classes, region_classes

Tensor = Any  # of the backend in use, which Keras has no type for


@dataclass(frozen=True)
class LabelSets:
    """The sets of classes that voxels of some scans may have; see `recalib_keras.training.losses.targets`.

    Where some structures of a scan were never looked for, a voxel without a label may be background or one of them,
    and a voxel of a structure may lie in an unknown one inside it. A voxel with the set's ignore label may be anything.

    Args:
        num_classes: Number of classes, the background included.
        sets: The classes of each code from `num_classes` on. The first set holds all classes. None, if everything is
            known everywhere.
        regions: The classes of each structure's voxels, see `recalib_keras.zoo.labels.region_classes`; None if no
            structure includes another.

    Example:
        >>> sets = LabelSets(3, ((0, 1, 2), (0, 2)))
        >>> sets.codes([True, True, False]).tolist(), sets.codes([True, True, True]).tolist()
        ([4, 1, 2, 3], [0, 1, 2, 3])
    """

    num_classes: int
    sets: tuple[tuple[int, ...], ...] = ()
    regions: tuple[tuple[int, ...], ...] | None = None

    @classmethod
    def of(cls, scans: Iterable[LabelledScan], labels: Sequence[Label], others: Iterable[Sequence[bool]] = ()) -> Self:
        """Returns the sets that voxels of scans may have, and those of their mirror images.

        Args:
            scans: The scans.
            labels: The labels of the network, in the order of its classes.
            others: For further scans whether each class was looked for.
        """
        scans, everything = list(scans), tuple(range(len(labels)))
        masks = {tuple(known_classes(scan, labels)) for scan in scans} | {tuple(mask) for mask in others}
        regions = region_classes(labels)
        mirrored = np.array(counterpart_classes(labels))
        masks |= {tuple(np.array(mask)[mirrored].tolist()) for mask in masks}
        found = {possible(label, mask, regions) for mask in masks for label in everything}
        partial = sorted(one for one in found if len(one) > 1 and one != everything)
        is_ignoring = any(scan.ignore is not None for scan in scans)
        if not partial and not is_ignoring and all(map(all, masks)):
            return cls(len(labels), regions=regions)
        return cls(len(labels), (everything, *partial), regions)

    @property
    def anything(self) -> int:
        """The code of a voxel that may have any class."""
        return self.num_classes

    def codes(self, known: Sequence[bool]) -> np.ndarray:
        """Returns the code of a voxel by its class in the label map, int32 `(classes + 1,)`; the last is `anything`.

        Args:
            known: Whether each class was looked for in the scan.
        """
        sets = [possible(label, known, self.regions) for label in range(self.num_classes)]
        codes = [one[0] if len(one) == 1 else self.num_classes + self.sets.index(one) for one in sets]
        return np.array([*codes, self.anything], "int32")

    def coded(self, classes: Tensor, known: Sequence[Sequence[bool]]) -> Tensor:
        """Returns the codes of windows of classes, according to what was looked for.

        Args:
            classes: `(batch, *spatial, 1)`, a tensor or an array; the result is of the same kind.
            known: For each window whether each class was looked for.
        """
        if all(map(all, known)):
            return classes
        codes = np.stack([self.codes(one) for one in known])
        starts = np.arange(0, codes.size, codes.shape[1], dtype="int32").reshape(-1, *(1,) * (len(classes.shape) - 1))
        if isinstance(classes, np.ndarray):
            return codes.ravel()[classes + starts]
        places = ops.cast(classes, "int32") + ops.convert_to_tensor(starts)
        return ops.take(ops.convert_to_tensor(codes.ravel()), places)


def possible(label: int, known: Sequence[bool], regions: Sequence[Sequence[int]] | None = None) -> tuple[int, ...]:
    """Returns the classes that a voxel may have, of which the label map says one.

    It may have a class that is inside the same structures as the one in the label map, as far as they were looked for.

    Args:
        label: The class in the label map, 0 for none.
        known: Whether each class was looked for.
        regions: The classes of each structure's voxels; None for one each.

    Example:
        >>> kidney_unknown = [True, True, False]
        >>> possible(0, kidney_unknown), possible(1, kidney_unknown)
        ((0, 2), (1,))
        >>> possible(0, kidney_unknown, [(1, 2), (2,)]), possible(1, kidney_unknown, [(1, 2), (2,)])
        ((0,), (1, 2))
    """
    inside = regions or [(index,) for index in range(1, len(known))]
    known_regions = [one for one, is_known in zip(inside, known[1:]) if is_known]
    known_regions += [inside[label - 1]] if label else []
    return tuple(index for index in range(len(known)) if all((index in one) == (label in one) for one in known_regions))


def known_classes(scan: LabelledScan, labels: Sequence[Label]) -> list[bool]:
    """Returns for each class whether it was looked for in a scan; the background always is.

    Args:
        scan: The scan.
        labels: The labels of the network, in the order of its classes.
    """
    return [index == 0 or scan.knows(label.id) for index, label in enumerate(labels)]
