"""A picture of generated scans and of what is segmented in them."""

import numpy as np

from recalib_keras.evaluation.figures.canvas import add_axes, import_matplotlib, new_figure, save_figure
from recalib_keras.evaluation.figures.overlay import CONVENTION
from recalib_keras.evaluation.figures.slices import (
    VIEWS,
    centre_of,
    grey_limits,
    letter_ends,
    show_slice,
    show_structures,
)

DOTS_PER_INCH = 120
# Inches: the tallest panel, what is between panels, the line of text at the foot.
PANEL, GAP, FOOT = 1.7, 0.04, 0.25
ORDER = ("axial", "coronal", "sagittal")


def picture(images, classes, structures, spacing, path):
    """Writes a picture of scans as a PNG file: a row for each, three slices as they are, and again with outlines.

    Slices go through the middle of what is segmented; the patient's left is on the left.

    Args:
        images: `(batch, X, Y, Z, 1)`, axes along RAS.
        classes: integers of the same shape, index into `structures`; 0 is the background.
        structures: sequence of things with an `id` and a `color` (RGB, 0 to 255).
        spacing: three sizes of a voxel in mm.
        path: the file to write, wholly or not at all. Missing parent folders are made.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        ImportError: matplotlib is not installed.
        VolumeError: the file cannot be written.
    """
    return save_figure(draw_picture(images, classes, structures, spacing), path)


def draw_picture(images, classes, structures, spacing):
    """Returns the picture as a `matplotlib.figure.Figure`; arguments as in `picture`."""
    import_matplotlib()
    numbers = np.array([structure.id for structure in structures])
    spacing = np.array(spacing, dtype="float64")
    sizes = np.array(images.shape[1:4]) * spacing
    figure, rows = _layout(sizes, len(images))
    for row, image, of_voxels in zip(rows, np.asarray(images)[..., 0], np.asarray(classes)[..., 0]):
        centre = centre_of(of_voxels != 0)
        views = sorted(VIEWS, key=lambda view: ORDER.index(view.name))
        limits = grey_limits([np.take(image, centre[view.axis], view.axis) for view in views])
        for plain, outlined, view in zip(row, row[len(views) :], views):
            for axes in (plain, outlined):
                show_slice(axes, view, np.take(image, centre[view.axis], view.axis), sizes, limits)
            outlined.set_autoscale_on(False)  # an outline at the border must not move it
            labels = numbers[np.take(of_voxels, centre[view.axis], view.axis)]
            show_structures(outlined, labels, structures[1:], spacing[list(view.shown)], linewidth=0.6, opacity=0)
            if row is rows[0]:
                letter_ends(plain, view)
    return figure


def _layout(sizes, count):
    """Returns an empty figure and its rows of six axes, in which a millimetre is equally long."""
    views = sorted(VIEWS, key=lambda view: ORDER.index(view.name)) * 2
    panels = np.array([[sizes[axis] for axis in view.shown] for view in views])
    panels = panels * PANEL / panels[:, 1].max()
    height = FOOT + count * (PANEL + GAP)
    figure = new_figure(panels[:, 0].sum() + GAP * (len(panels) - 1), height, DOTS_PER_INCH, "black")
    figure.text(0.5, FOOT / 3 / height, CONVENTION, color="lightgray", fontsize=7, ha="center", va="bottom")
    lefts = np.concatenate([[0], np.cumsum(panels[:-1, 0] + GAP)])
    rows = [
        [add_axes(figure, left, bottom + (PANEL - tall) / 2, wide, tall) for left, (wide, tall) in zip(lefts, panels)]
        for bottom in FOOT + np.arange(count)[::-1] * (PANEL + GAP)
    ]
    return figure, rows
