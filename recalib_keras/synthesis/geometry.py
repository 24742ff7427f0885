"""Geometry of a generated scan: how a head is deformed and placed, and which labels each voxel then shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import nibabel as nib
import numpy as np
from keras import ops

from recalib_keras.synthesis.settings import FEWEST_NODES, Synthesis
from recalib_keras.transforms import Tensor
from recalib_keras.transforms.affine import planes, rotation, source_places
from recalib_keras.transforms.displacement import integrate_velocity, interpolate_nodes
from recalib_keras.transforms.lookup import nearest_labels, of_examples
from recalib_keras.transforms.separable_operators import b_spline, interpolating_spline, unit_deviation

# Size in mm of a brain with the head around it, from left to right, back to front and bottom to top; the neck lies
# beyond.
HEAD = (192.0, 224.0, 192.0)
# Nodes along each axis of the grid that displacements are integrated on; at 192 mm a step of 13 mm.
GRID = 16
# Places in a voxel whose tissues make up its intensity, in quarters of the voxel from its centre: the centre itself,
# the two points of a body-centred lattice, the corners of a tetrahedron, those of a cube.
PLACES = {
    1: [(0, 0, 0)],
    2: [(-1, -1, -1), (1, 1, 1)],
    4: [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)],
    8: [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)],
}


class Frame(NamedTuple):
    """The window of a scan, and the voxels of the scan and of the label map; both have n axes.

    Args:
        window: n sizes in voxels.
        spacing: n voxel sizes of the scan in mm.
        map_spacing: n voxel sizes of the label map in mm.
        lateral_axis: The axis from left to right, or None if there is none.
    """

    window: tuple[int, ...]
    spacing: tuple[float, ...]
    map_spacing: tuple[float, ...]
    lateral_axis: int | None


class Geometry(NamedTuple):
    """How heads are deformed and placed, for a batch of windows of n axes.

    Args:
        matrices: `(batch, n, n)`, from voxels of the window to voxels of the label map, from the window's centre.
        centres: `(batch, n)`, the place of the window's centre in the label map, in voxels.
        nodes: `(batch, n, *[GRID] * n)`, displacements in voxels of the label map on a grid over the window; or None.
        places: `(batch, k, n)`, where in a voxel tissues are looked up, in voxels of the label map from its centre.
    """

    matrices: np.ndarray
    centres: np.ndarray
    nodes: np.ndarray | None
    places: np.ndarray


def whole_slices(window: Sequence[int], orientation: str, spacing: float | Sequence[float]) -> tuple[int, ...]:
    """Returns a window that spans the whole head along each axis on which it has one voxel, as for a 2-D network.

    Args:
        window: Three sizes in voxels.
        orientation: Three letters, such as `"RAS"`.
        spacing: Voxel size in mm, one number or three.
    """
    axes = nib.orientations.axcodes2ornt(orientation)[:, 0].astype(int)
    sizes = np.rint(np.array(HEAD)[axes] / spacing).astype(int)
    return tuple(int(whole) if size == 1 else size for size, whole in zip(window, sizes))


def draw_geometry(
    settings: Synthesis, frame: Frame, centre: Sequence[float], is_flipped: bool, rng: np.random.Generator
) -> Geometry:
    """Returns the random `Geometry` of one example, without the batch axis.

    Args:
        settings: How far heads vary.
        frame: Window and voxel sizes.
        centre: n numbers, the place in the label map that the window lies around, in voxels.
        is_flipped: Whether left and right are swapped.
        rng: Source of the random numbers.
    """
    rank, spacing, map_spacing = len(frame.window), np.array(frame.spacing), np.array(frame.map_spacing)
    in_mm = draw_affine(settings, rank, frame.lateral_axis, is_flipped, rng)
    shift = rng.normal(0, settings.translation, rank)
    to_map = in_mm / map_spacing[:, None]
    nodes = None
    if settings.elastic:
        extent = (np.array(frame.window) - 1) * spacing
        nodes = draw_displacement(settings.elastic, settings.elastic_nodes, extent, rng)
        nodes = np.tensordot(to_map, nodes, 1).astype("float32")  # the affine map comes after the displacement
    quarters = np.array(PLACES[settings.partial_volume])[:, :rank] / 4
    return Geometry(
        matrices=(to_map * spacing).astype("float32"),
        centres=(np.array(centre) + shift / map_spacing).astype("float32"),
        nodes=nodes,
        places=(quarters * spacing @ to_map.T).astype("float32"),
    )


def draw_affine(
    settings: Synthesis, rank: int, mirror_axis: int | None, is_flipped: bool, rng: np.random.Generator
) -> np.ndarray:
    """Returns a random matrix `(rank, rank)`, from mm in the scan to mm in the label map, both from the centre.

    Args:
        settings: How far heads vary.
        rank: Number of axes.
        mirror_axis: The axis that a flip mirrors.
        is_flipped: Whether it is mirrored.
        rng: Source of the random numbers.
    """
    turn = rotation(np.deg2rad(rng.normal(0, settings.rotation, planes(rank))), rank)
    shears = rng.normal(0, settings.shearing, (rank, rank)) * (1 - np.eye(rank)) + np.eye(rank)
    scales = np.exp(rng.normal(0, settings.scaling, rank))
    if is_flipped:
        scales[mirror_axis] *= -1
    return turn @ shears * scales


def draw_displacement(largest: float, most_nodes: int, extent: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Returns a random displacement in mm at the nodes of a grid over the window, `(rank, *[GRID] * rank)`.

    A smooth velocity field, a cubic B-spline of few nodes, is integrated (see `integrate_velocity`). So tissue is
    stretched and compressed but never folded, as long as the grid resolves the field: at 150 mm up to a deviation of
    10 mm with 8 nodes, or of 4 mm with 16.

    Args:
        largest: The deviation of the velocities is drawn uniformly up to this, in mm.
        most_nodes: The number of nodes along each axis is drawn from `FEWEST_NODES` up to this.
        extent: Size of the window along each axis in mm, from the first to the last voxel's centre.
        rng: Source of the random numbers.
    """
    rank = len(extent)
    count = int(rng.integers(FEWEST_NODES, most_nodes, endpoint=True))
    deviation = rng.uniform(0, largest)
    velocity = rng.normal(0, deviation, (rank,) + (count,) * rank) * unit_deviation(count, (GRID,) * rank)
    for axis in range(1, rank + 1):
        velocity = np.moveaxis(np.tensordot(velocity, b_spline(count, GRID), (axis, 0)), -1, axis)
    return integrate_velocity(velocity, extent)


def labels_at(label_maps: Tensor, geometry: Geometry, window: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """Returns the labels at the centres of a scan's voxels, and at each of the places in them.

    Labels are those of the nearest voxel of the label map; beyond its border the labels on the border are continued.

    Args:
        label_maps: `(batch, *sizes)`, integer.
        geometry: The deformation and placement.
        window: n sizes in voxels.

    Returns:
        Tensor `(batch, *window)` and list of such tensors, of the label maps' type.
    """
    nodes, rank = geometry.nodes, len(window)
    displacements = None if nodes is None else interpolate_nodes(nodes, window, interpolating_spline)
    centres = source_places(window, geometry.matrices, geometry.centres, displacements)
    at_centres = nearest_labels(label_maps, centres)
    count = geometry.places.shape[1]
    if count == 1:
        return at_centres, [at_centres]
    offsets = [geometry.places[:, place] for place in range(count)]
    return at_centres, [
        nearest_labels(label_maps, [centre + of_examples(one[:, axis], rank) for axis, centre in enumerate(centres)])
        for one in offsets
    ]


def majority(classes: Sequence[Tensor]) -> Tensor:
    """Returns the class that most tensors of a list have in each voxel; of equally frequent ones the first.

    The intensity of a voxel shows the tissue that fills most of it, not the tissue at its centre.

    Args:
        classes: Integer tensors of one shape, such as the classes at several places in each voxel.
    """
    found, most = classes[0], None
    for one in classes:
        votes = sum(ops.cast(ops.equal(one, other), "uint8") for other in classes)
        found = one if most is None else ops.where(votes > most, one, found)
        most = votes if most is None else ops.maximum(votes, most)
    return found
