"""Volumes of structures, their share of the whole, the asymmetry of pairs, and whether the scan cuts them off."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recalib_keras.core.scratch import pieces
from recalib_keras.evaluation.structures import StructureLike, numbers_of, side
from recalib_keras.volumes import Grid


@dataclass(frozen=True)
class StructureVolume:
    """How large a structure is.

    Args:
        name: Name of the structure.
        label: Number of the structure.
        voxels: Volume in voxels.
        cubic_millimetres: Volume in mm³.
        percent_of_total: Share (%) of the volume of all structures together; None if that is 0.
        asymmetry_percent: Asymmetry (%) of the structure and its counterpart on the other side, see `asymmetry`; None
            for structures that are not a pair, and for pairs whose names do not say which one is left.
        together_mm3: Volume of all structures together in mm³, each voxel once; None if unknown.
        own_asymmetry: Mean and standard deviation of the asymmetry (%) that the network finds in a symmetric template;
            None if unknown.
    """

    name: str
    label: int
    voxels: int
    cubic_millimetres: float
    percent_of_total: float | None = None
    asymmetry_percent: float | None = None
    together_mm3: float | None = field(default=None, compare=False)
    own_asymmetry: tuple[float, float] | None = field(default=None, compare=False)


def structure_volumes(labels: np.ndarray, grid: Grid, structures: Sequence[StructureLike]) -> list[StructureVolume]:
    """Returns the `StructureVolume` of each structure, in their order.

    Args:
        labels: Integer array of label numbers.
        grid: Grid of the array.
        structures: The structures. One of a pair has an attribute `mirror`, the number of its counterpart on the other
            side. One that includes others has all of their numbers in its attribute `numbers`; voxels count once in
            the total.
    """
    counted: Counter[int] = Counter()
    for piece in pieces(labels):  # NumPy sorts a copy
        numbers, counts = np.unique(labels[piece], return_counts=True)
        counted.update(dict(zip(numbers.tolist(), counts.tolist())))
    inside = {structure.id: numbers_of(structure) for structure in structures}
    voxels = {number: sum(counted.get(each, 0) for each in within) for number, within in inside.items()}
    total = sum(counted.get(number, 0) for number in {each for within in inside.values() for each in within})
    names = {structure.id: structure.name for structure in structures}
    return [
        StructureVolume(
            structure.name,
            structure.id,
            voxels[structure.id],
            voxels[structure.id] * grid.voxel_volume,
            100 * voxels[structure.id] / total if total else None,
            _asymmetry_of_pair(structure.id, getattr(structure, "mirror", None), names, voxels),
            total * grid.voxel_volume,
        )
        for structure in structures
    ]


def total_volume(volumes: Sequence[StructureVolume]) -> float:
    """Returns the volume of all structures of a scan together in mm³, each voxel once.

    Args:
        volumes: The volumes of the structures, as from `structure_volumes`; others are added.
    """
    known = [volume.together_mm3 for volume in volumes if volume.together_mm3 is not None]
    return known[0] if known else sum(volume.cubic_millimetres for volume in volumes)


def asymmetry(left: float, right: float) -> float | None:
    """Returns the asymmetry index (%) of two volumes, `100·(L - R) / ((L + R) / 2)`; None if both are 0.

    It is from -200 to 200, and positive if the left volume is larger.

    Args:
        left: Volume on the left.
        right: Volume on the right, in the same unit.

    Example:
        >>> asymmetry(33, 27)
        20.0
    """
    return 200 * (left - right) / (left + right) if left + right else None


def share_at_edge(labels: np.ndarray, grid: Grid, structures: Sequence[StructureLike]) -> float:
    """Returns the share of the structures' surface, from 0 to 1, that is on the edge of the scan; 0 for no surface.

    The surface is that of all structures as one. It consists of the faces of voxels. The share is large if the scan
    cuts the structures off.

    Args:
        labels: Integer array `(X, Y, Z)` of label numbers.
        grid: Grid of the array.
        structures: The structures.
    """
    numbers = [structure.id for structure in structures]
    faces, faces_at_edge = np.zeros(3), np.zeros(3)
    outside = last = np.zeros(labels.shape[1:], bool)
    for plane in labels:  # one at a time, because scans may be large
        inside = np.isin(plane, numbers)
        faces += [np.count_nonzero(inside != last), _changes(inside), _changes(inside.T)]
        faces_at_edge += [0, _ends(inside), _ends(inside.T)]
        last = inside
    faces[0] += np.count_nonzero(last != outside)
    faces_at_edge[0] = sum(np.count_nonzero(np.isin(labels[end], numbers)) for end in (0, -1))
    areas = np.prod(grid.spacing) / np.array(grid.spacing)
    return float(faces_at_edge @ areas / (faces @ areas)) if faces.any() else 0.0


def _changes(inside):
    return np.count_nonzero(np.diff(inside, axis=0, prepend=False, append=False))


def _ends(inside):
    return np.count_nonzero(inside[0]) + np.count_nonzero(inside[-1])


def _asymmetry_of_pair(number, mirror, names, voxels):
    if mirror not in names:
        return None
    sides = {side(names[each]): voxels[each] for each in (number, mirror)}
    return asymmetry(sides["left"], sides["right"]) if sides.keys() == {"left", "right"} else None
