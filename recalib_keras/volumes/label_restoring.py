"""Bring label maps back from the grid they were computed on to the grid of their scan."""

import numpy as np
from scipy import ndimage

from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.resampling import COINCIDENT, resample
from recalib_keras.volumes.slabs import cropped, slabs, smoothing_reach

# Where one spacing is a simple multiple of the other, many voxels lie half in one structure and half in the next. If
# they all went to the background, structures would lose up to a tenth of their volume; this shift (in voxels, too small
# to count as one) sends them to opposite sides on opposite borders.
TIE_BREAK = COINCIDENT / 2


def restore_labels(labels, source, target):
    """Returns a label map on another grid.

    Where the voxel centres coincide up to permuted and flipped axes the labels are moved and nothing else. Elsewhere
    each structure is interpolated linearly as a mask, and each voxel gets the structure that covers most of it: borders
    come out smoother than by nearest neighbour, and the volumes are kept. A structure is interpolated inside its own
    bounding box only.

    Args:
        labels: integer array of shape `source.shape`.
        source: `Grid` the labels stand on.
        target: `Grid` wanted.

    Returns:
        Integer array of shape `target.shape` and of the same dtype; it holds no label that `labels` has not, and the
        smallest label (the background) beyond the source's field of view.
    """
    if _coincides(source, target):
        return resample(labels, source, target, order=0)
    source = _shifted(source, TIE_BREAK)
    background = labels.min()
    restored = np.empty(target.shape, labels.dtype)
    for part, box in slabs(source, target, 2 + smoothing_reach(source, target)):
        restored[part] = _restored(labels[box], cropped(source, box), cropped(target, part), background)
    return restored


def _restored(labels, source, target, background):
    values, compact = np.unique(labels, return_inverse=True)
    compact = compact.reshape(labels.shape)
    restored = np.full(target.shape, background, labels.dtype)
    is_background = labels == background
    most = resample(is_background.astype("float32"), source, target, cval=1.0)  # how much the background covers
    for index, box in enumerate(ndimage.find_objects(compact + 1)):
        if values[index] != background:
            _paint(restored, most, values[index], compact == index, box, source, target)
    return restored


def _paint(restored, most, label, mask, box, source, target):
    """Gives a label to the voxels that its mask covers more than any label before."""
    inner = tuple(slice(max(0, part.start - 2), part.stop + 2) for part in box)
    outer = _target_box(inner, mask.shape, source, target)
    if most[outer].size == 0:  # the structure lies beyond the target's field of view
        return
    cover = resample(mask[inner].astype("float32"), cropped(source, inner), cropped(target, outer), cval=0.0)
    is_most = cover > most[outer]
    most[outer][is_most] = cover[is_most]
    restored[outer][is_most] = label


def _target_box(box, shape, source, target):
    """Returns the slices of the target's grid that contain a box of the source's."""
    ends = [(part.start - 0.5, min(part.stop, size) - 0.5) for part, size in zip(box, shape)]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    to_target = np.linalg.solve(target.affine, source.affine)
    places = corners @ to_target[:3, :3].T + to_target[:3, 3]
    lowest, highest = np.floor(places.min(0)).astype(int), np.ceil(places.max(0)).astype(int)
    return tuple(slice(max(0, low), max(0, high + 1)) for low, high in zip(lowest, highest))


def _shifted(grid, voxels):
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3].sum(axis=1) * voxels
    return Grid(grid.shape, affine)


def _coincides(source, target):
    return source.oriented(target.orientation).matches(target)
