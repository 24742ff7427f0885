"""Where in a label map each voxel of a scan lies, and which labels are there."""

import math
from typing import NamedTuple

import numpy as np
from keras import ops

from recalib_keras.synthesis.deformation import GRID, affine, displacement
from recalib_keras.transforms.separable_operators import along_axes, spline_through

# Places in a voxel whose tissues make up its intensity, in quarters of the voxel from its centre: the centre itself,
# the two points of a body-centred lattice, the corners of a tetrahedron, those of a cube.
PLACES = {
    1: [(0, 0, 0)],
    2: [(-1, -1, -1), (1, 1, 1)],
    4: [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)],
    8: [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)],
}


class Frame(NamedTuple):
    """What a scan shows of a label map of n axes.

    Args:
        window: n sizes in voxels.
        spacing: n sizes of the scan's voxels in mm.
        map_spacing: n sizes of the label map's voxels in mm.
        lateral_axis: the axis from left to right, or None where none is.
    """

    window: tuple
    spacing: tuple
    map_spacing: tuple
    lateral_axis: int | None


class Shape(NamedTuple):
    """How heads are seen, for a batch of windows of n axes.

    Args:
        matrices: `(batch, n, n)`, from voxels of the window to voxels of the label map, about the window's centre.
        centres: `(batch, n)`, place in the label map of the window's centre, in voxels.
        nodes: `(batch, n, *[GRID] * n)`, displacements in voxels of the label map on a grid over the window; or None.
        places: `(batch, k, n)`, where in a voxel tissues are looked up, in voxels of the label map from its centre.
    """

    matrices: np.ndarray
    centres: np.ndarray
    nodes: np.ndarray | None
    places: np.ndarray


def draw_shape(settings, frame, centre, is_flipped, rng):
    """Returns the random `Shape` of one example, without the batch's axis.

    Args:
        settings: `Synthesis`.
        frame: `Frame`.
        centre: n numbers, the place in the label map that the window lies around, in voxels.
        is_flipped: whether left and right change places.
        rng: `numpy.random.Generator`.
    """
    rank, spacing, map_spacing = len(frame.window), np.array(frame.spacing), np.array(frame.map_spacing)
    in_mm = affine(settings, rank, frame.lateral_axis, is_flipped, rng)
    shift = rng.normal(0, settings.translation, rank)
    to_map = in_mm / map_spacing[:, None]
    nodes = None
    if settings.elastic:
        extent = (np.array(frame.window) - 1) * spacing
        nodes = displacement(settings.elastic, settings.elastic_nodes, extent, rng)
        nodes = np.tensordot(to_map, nodes, 1).astype("float32")  # the affine map comes after the displacement
    quarters = np.array(PLACES[settings.partial_volume])[:, :rank] / 4
    return Shape(
        matrices=(to_map * spacing).astype("float32"),
        centres=(np.array(centre) + shift / map_spacing).astype("float32"),
        nodes=nodes,
        places=(quarters * spacing @ to_map.T).astype("float32"),
    )


def labels_at(label_maps, shape, window):
    """Returns the labels at the voxels of a scan: at their centres, and at each of the places in them.

    Labels are those of the nearest voxel of the label map; beyond its border is what stands on it, so that a border
    of background goes on for ever.

    Args:
        label_maps: `(batch, *sizes)`, integer.
        shape: `Shape`.
        window: n sizes in voxels.

    Returns:
        Tensor `(batch, *window)` and list of such tensors, of the label maps' type.
    """
    sizes = tuple(label_maps.shape[1:])
    flat = ops.reshape(label_maps, (-1,))
    starts = ops.arange(label_maps.shape[0], dtype="int32") * math.prod(sizes)
    centres = _voxel_places(shape, window)

    def look_up(offsets):
        indices = _for_window(starts, window)
        for axis, size in enumerate(sizes):
            place = centres[axis] if offsets is None else centres[axis] + _for_window(offsets[:, axis], window)
            nearest = ops.cast(ops.clip(place + 0.5, 0, size - 1), "int32")  # a cast cuts off what follows the point
            indices = indices + nearest * math.prod(sizes[axis + 1 :])
        return ops.take(flat, indices)

    count, at_centres = shape.places.shape[1], look_up(None)
    if count == 1:
        return at_centres, [at_centres]
    return at_centres, [look_up(shape.places[:, place]) for place in range(count)]


def prevailing(classes):
    """Returns the class that most tensors of a list have in each voxel; of several that as many have, the first.

    What fills most of a voxel is what its intensity tells, not what lies at its very centre.

    Args:
        classes: list of integer tensors of one shape, such as the classes at several places in each voxel.
    """
    found, most = classes[0], None
    for one in classes:
        votes = sum(ops.cast(ops.equal(one, other), "uint8") for other in classes)
        found = one if most is None else ops.where(votes > most, one, found)
        most = votes if most is None else ops.maximum(votes, most)
    return found


def _voxel_places(shape, window):
    """Returns for each axis of the label map `(batch, *window)`, the places of the voxels' centres."""
    rank = len(window)
    # Sums rather than a product of matrices, which some devices round to the ten bits of TF32.
    offsets = [
        ops.reshape(ops.arange(size, dtype="float32") - (size - 1) / 2, (-1,) + (1,) * (rank - axis - 1))
        for axis, size in enumerate(window)
    ]
    moved = None if shape.nodes is None else _displacements(shape.nodes, window)
    places = []
    for axis in range(rank):
        place = _for_window(shape.centres[:, axis], window)
        for other, offset in enumerate(offsets):
            place = place + _for_window(shape.matrices[:, axis, other], window) * offset
        places.append(place if moved is None else place + moved[:, axis])
    return places


def _displacements(nodes, window):
    batch, rank = nodes.shape[:2]
    matrices = [spline_through(GRID, size) for size in window]
    spread = along_axes(ops.reshape(nodes, (batch * rank, *nodes.shape[2:])), matrices)
    return ops.reshape(spread, (batch, rank, *window))


def _for_window(values, window):
    """Returns one value for each example, shaped to stand for its whole window."""
    return ops.reshape(values, (-1,) + (1,) * len(window))
