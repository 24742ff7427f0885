"""Keep the largest connected component of each structure, and remove the smaller ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy import ndimage

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import listed
from recalib_keras.core.scratch import pieces, release, scratch_array
from recalib_keras.inference.structure_choice import choose_structures, number_around
from recalib_keras.zoo import Label

# `True` for all structures, `False` for none, or what `choose_structures` takes.
LargestComponent = bool | Sequence[str | int]


def numbers_to_clean(
    labels: Sequence[Label], wanted: LargestComponent, shown: Sequence[Label] | None = None
) -> frozenset[int]:
    """Returns the numbers of the structures of which only the largest component is kept.

    Args:
        labels: One for each class, background first.
        wanted: True for all structures, False for none, or names, numbers or patterns; see `choose_structures`.
        shown: The structures of which the result has voxels, if not all of them.

    Raises:
        RecordError: A name, number or pattern fits no structure, or the sequence is empty; or none of the structures is
            among those that are shown, nor around one of them.
    """
    if isinstance(wanted, bool):
        return frozenset(label.id for label in labels[1:] if wanted)
    cleaned = {label.id: label.name for label in choose_structures(labels, wanted)}
    touched = {number for label in labels if label.id in cleaned for number in label.numbers}
    if shown is not None and touched.isdisjoint(label.id for label in shown):
        raise RecordError(
            part="largest component",
            expected=f"structures among those that are wanted, {listed(label.name for label in shown)}",
            received=listed(cleaned.values()),
            remedy="name one of them, or ask for the others too",
        )
    return frozenset(cleaned)


def keep_largest_components(array: np.ndarray, labels: Sequence[Label], numbers: Collection[int]) -> None:
    """Removes, in place, all but the largest connected component of each structure.

    Voxels that share a face, an edge or a corner are connected. The largest component is the one of most voxels; of
    several, the one whose first voxel comes first in the array. A voxel that is removed becomes background. A structure
    that includes others consists of their voxels too, and is cleaned before them; a voxel that is removed from an inner
    structure becomes that of the innermost structure around it.

    Each structure is labelled inside its bounding box, so the work grows with the sizes of the structures.

    Args:
        array: Label numbers, of any rank.
        labels: All labels, background first, outer structures before those that they include.
        numbers: The structures to clean; see `numbers_to_clean`.

    Example:
        >>> array = np.array([7, 7, 0, 7])
        >>> keep_largest_components(array, [Label(0, "background"), Label(7, "bright")], {7})
        >>> array.tolist()
        [7, 7, 0, 0]
    """
    cleaned = [label for label in labels[1:] if label.id in numbers]
    boxes = _boxes(array, {number for label in cleaned for number in label.numbers})
    for label in cleaned:
        found = [boxes[number] for number in label.numbers if number in boxes]
        if found:
            _clean(array[_union(found)], label.numbers, number_around(label, labels, labels[0]))
            release(array)


def _clean(box, numbers, outside):
    """Keeps the largest component in the bounding box of a structure; the others become `outside`."""
    components = scratch_array(box.shape, np.dtype(np.int32))
    count = ndimage.label(np.isin(box, numbers), np.ones((3,) * box.ndim, bool), output=components)
    if count > 1:
        sizes = np.zeros(count + 1, np.int64)
        for piece in pieces(components):
            sizes += np.bincount(components[piece].reshape(-1), minlength=count + 1)
        largest = 1 + sizes[1:].argmax()
        for piece in pieces(components):
            box[piece][(components[piece] > 0) & (components[piece] != largest)] = outside


def _boxes(array, numbers):
    """Returns the smallest slices that hold each label number, as far as it occurs; in one pass through the array."""
    boxes: dict[int, tuple[slice, ...]] = {}
    for piece in pieces(array):
        starts = [one.start or 0 for one in piece] + [0] * (array.ndim - len(piece))
        for index, found in enumerate(ndimage.find_objects(array[piece], max(numbers, default=0) or 1)):
            if found is not None and index + 1 in numbers:
                moved = tuple(slice(one.start + at, one.stop + at) for one, at in zip(found, starts))
                boxes[index + 1] = _union([moved, boxes.get(index + 1, moved)])
    return boxes


def _union(boxes):
    return tuple(slice(min(one.start for one in along), max(one.stop for one in along)) for along in zip(*boxes))
