"""Volumes of structures, what share they have of the whole, how the sides differ, and whether the scan holds them."""

from dataclasses import dataclass

import numpy as np

from recalib_keras.evaluation.sides import side


@dataclass(frozen=True)
class StructureVolume:
    """How large a structure is.

    Args:
        name, label: of the structure.
        voxels, cubic_millimetres: its volume.
        percent_of_total: of the volume of all structures together; None where there are none.
        asymmetry_percent: of the structure and its counterpart on the other side, see `asymmetry`; None for unpaired
            structures, and for pairs whose names do not say which one is left.
    """

    name: str
    label: int
    voxels: int
    cubic_millimetres: float
    percent_of_total: float | None = None
    asymmetry_percent: float | None = None


def structure_volumes(labels, grid, structures):
    """Returns the `StructureVolume` of each structure, in their order.

    Args:
        labels: integer array of label numbers.
        grid: `recalib_keras.volumes.Grid` of the array.
        structures: sequence of things with an `id`, a `name` and, if they come in pairs, the `mirror`: the number of
            the counterpart on the other side.
    """
    numbers, counts = np.unique(labels, return_counts=True)
    counted = dict(zip(numbers.tolist(), counts.tolist()))
    voxels = {structure.id: counted.get(structure.id, 0) for structure in structures}
    total, names = sum(voxels.values()), {structure.id: structure.name for structure in structures}
    return [
        StructureVolume(
            structure.name,
            structure.id,
            voxels[structure.id],
            voxels[structure.id] * grid.voxel_volume,
            100 * voxels[structure.id] / total if total else None,
            _asymmetry_of_pair(structure.id, getattr(structure, "mirror", None), names, voxels),
        )
        for structure in structures
    ]


def asymmetry(left, right):
    """Returns the asymmetry index (%) of two volumes, `100·(L - R) / ((L + R) / 2)`; None where both are 0.

    It is positive where the left one is larger, and lies between -200 and 200.

    >>> asymmetry(33, 27)
    20.0
    """
    return 200 * (left - right) / (left + right) if left + right else None


def share_at_edge(labels, grid, structures):
    """Returns the share of the structures' surface, from 0 to 1, that lies on the edge of the scan; 0 for no surface.

    The surface is that of all structures as one, and is made of the faces of voxels. Much of it lies on the edge where
    a scan ends inside the structures.

    Args:
        labels: integer array `(X, Y, Z)` of label numbers.
        grid, structures: as in `structure_volumes`.
    """
    numbers = [structure.id for structure in structures]
    faces, faces_at_edge = np.zeros(3), np.zeros(3)
    outside = last = np.zeros(labels.shape[1:], bool)
    for plane in labels:  # one at a time, since scans may be large
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
