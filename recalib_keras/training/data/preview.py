"""Slices of training examples to look at: a window of a scan as it is, and as augmentation changes it."""

from typing import NamedTuple

import nibabel as nib
import numpy as np
from keras import ops

from recalib_keras.evaluation.figures.slices import VIEWS
from recalib_keras.training.data import augmentation
from recalib_keras.training.data.examples import as_examples, draw_change, random_window, window_spacing
from recalib_keras.training.data.mirror import Mirror


class Samples(NamedTuple):
    """Slices of one window of a scan, the first as it is, the others changed.

    Args:
        name: of the scan.
        images: `(1 + count, width, height)`, growing to the right or front, and up, as they are shown.
        labels: of the same shape; label numbers.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray


def make_samples(scan, recipe, view, count, rng):
    """Returns `Samples` of a window around a random voxel of the foreground.

    They are cut where the unchanged window has most foreground.

    Args:
        scan: `recalib_keras.training.data.examples.Scan`.
        recipe: `Recipe`.
        view: one of `recalib_keras.evaluation.figures.slices.VIEWS`; for a 2-D network that of its slices.
        count: how many changed samples.
        rng: `numpy.random.Generator`.
    """
    window = random_window(scan, recipe.input, 1.0, rng)
    mirror = Mirror.of(recipe.input, recipe.labels)
    spacings = [window_spacing(scan, recipe.input)] * count
    change = draw_change(recipe, count, rng, mirror, spacings)
    copies = (np.repeat(array[None], count, axis=0) for array in window)
    changed = (ops.convert_to_numpy(tensor) for tensor in augmentation.apply(*copies, change))
    images, classes = as_examples(*(np.stack([first, *others]) for first, others in zip(window, changed)), recipe.input)
    images = _turned(images[..., recipe.input.context], recipe.input)
    classes = _turned(classes[..., 0], recipe.input)
    others = tuple(axis for axis in range(3) if axis != view.axis)
    place = (classes[0] > 0).sum(axis=others).argmax() if (classes[0] > 0).any() else images.shape[1 + view.axis] // 2
    numbers = np.array([label.id for label in recipe.labels])[classes]
    return Samples(scan.name, images.take(place, 1 + view.axis), numbers.take(place, 1 + view.axis))


def view_of(expects, name=None):
    """Returns the `recalib_keras.evaluation.figures.slices.View` in which a network's windows are shown.

    Args:
        expects: `recalib_keras.zoo.Input`.
        name: `"sagittal"`, `"coronal"` or `"axial"`; None for axial, or the slices that a 2-D network sees.

    Raises:
        ValueError: if there is no such view, or a 2-D network sees other slices.
    """
    views = {view.name: view for view in VIEWS}
    if expects.slice_axis is not None:
        seen = VIEWS[int(_turn(expects)[expects.slice_axis, 0])].name
        if name not in (None, seen):
            raise ValueError(f"expected the view {seen!r}, as the recipe's network sees {seen} slices, got {name!r}")
        name = seen
    name = "axial" if name is None else name
    if name not in views:
        raise ValueError(f"expected a view of {', '.join(views)}, got {name!r}")
    return views[name]


def voxel_size(expects):
    """Returns the spacing (mm) along x, y and z; ones where scans are taken as they are."""
    spacing = np.ones(3)
    if expects.spacing is not None:
        spacing[_turn(expects)[:, 0].astype(int)] = expects.spacing
    return spacing


def _turned(windows, expects):
    """Returns windows `(count, *window)` as `(count, X, Y, Z)`, axes growing to the right, the front and up."""
    if expects.slice_axis is not None:
        windows = np.expand_dims(windows, 1 + expects.slice_axis)
    return np.moveaxis(nib.orientations.apply_orientation(np.moveaxis(windows, 0, -1), _turn(expects)), -1, 0)


def _turn(expects):
    letters = nib.orientations.axcodes2ornt
    return nib.orientations.ornt_transform(letters(tuple(expects.orientation)), letters(tuple("RAS")))
