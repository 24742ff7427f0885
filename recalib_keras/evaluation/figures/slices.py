"""Slices of a scan in a picture: where to cut, how grey, and what lies where in the patient."""

from typing import NamedTuple

import numpy as np

# A few bright vessels, or metal in a CT, must not darken the rest.
GREY_PERCENTILES = (0.5, 99.5)
FILL_OPACITY = 0.35
LETTER = 0.12  # inches


class View(NamedTuple):
    """One of the three ways to cut an RAS array: the axis cut, those shown, and the letters of their ends."""

    name: str
    coordinate: str
    axis: int
    shown: tuple[int, int]
    ends: tuple[str, str, str, str]


VIEWS = (
    View("sagittal", "x", 0, (1, 2), ("P", "A", "I", "S")),
    View("coronal", "y", 1, (0, 2), ("L", "R", "I", "S")),
    View("axial", "z", 2, (0, 1), ("L", "R", "P", "A")),
)


def centre_of(mask):
    """Returns the voxel at the centre of mass; along each axis the nearest one whose slice cuts a structure."""
    if not mask.any():
        return [size // 2 for size in mask.shape]
    centre = []
    for axis in range(3):
        area = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        occupied = np.flatnonzero(area)
        # Of two kidneys, say, the centre of mass lies in the spine.
        mean = area @ np.arange(area.size) / area.sum()
        centre.append(int(occupied[np.abs(occupied - mean).argmin()]))
    return centre


def grey_limits(planes):
    """Returns the values shown as black and as white, for a sequence of arrays shown side by side."""
    shown = np.concatenate([plane.ravel() for plane in planes])
    low, high = np.percentile(shown, GREY_PERCENTILES)
    return (low, high) if low < high else (shown.min(), shown.max())


def show_slice(axes, view, plane, sizes, limits, colormap="gray"):
    """Shows a slice in millimetres, its borders named by where they lie in the patient.

    Args:
        axes: matplotlib axes whose sides are as long as the slice's, to scale.
        view: one of `VIEWS`.
        plane: array, the slice.
        sizes: three sizes of the scan (mm).
        limits: values shown as black and as white.
        colormap: name of a matplotlib colormap.

    Returns:
        The matplotlib image.
    """
    width, height = (sizes[axis] for axis in view.shown)
    shown = axes.imshow(
        plane.T,
        cmap=colormap,
        vmin=limits[0],
        vmax=limits[1],
        origin="lower",
        extent=(0, width, 0, height),
        aspect="auto",  # the layout has made the panel's sides as long as they must be
        interpolation="bilinear",
    )
    axes.set_axis_off()
    return shown


def letter_ends(axes, view) -> None:
    """Writes L, R, A, P, S and I at the borders that they are at."""
    from matplotlib.patheffects import withStroke

    left, right, low, high = view.ends
    extent = axes.get_position().size * axes.figure.get_size_inches()
    for letter, x, y in ((left, 0, 0.5), (right, 1, 0.5), (low, 0.5, 0), (high, 0.5, 1)):
        if extent[1 if x == 0.5 else 0] < 4 * LETTER:  # both letters would stand on one another
            continue
        axes.annotate(
            letter,
            (x, y),
            xytext=((0.5 - x) * 2 * LETTER * 72, (0.5 - y) * 2 * LETTER * 72),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="center",
            color="white",
            fontsize=9,
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )


def show_structures(axes, plane, structures, spacing, linewidth=1.2, opacity=FILL_OPACITY) -> None:
    """Fills and outlines each structure that the slice cuts.

    Args:
        axes: matplotlib axes, in millimetres.
        plane: integer array, the slice of the label map.
        structures: sequence of things with an `id` and a `color` (RGB, 0 to 255).
        spacing: the two sizes of a voxel (mm).
        linewidth: of the outlines, in points.
        opacity: of the filling, from 0 to 1.
    """
    for structure in structures:
        mask = plane == structure.id
        if not mask.any():
            continue
        color = [channel / 255 for channel in structure.color]
        x, y, values = _framed(mask, spacing)
        if opacity:
            axes.contourf(x, y, values.T, levels=[0.5, 1.5], colors=[color], alpha=opacity)
        axes.contour(x, y, values.T, levels=[0.5], colors=[color], linewidths=linewidth)


def _framed(mask, spacing):
    """Returns where the voxels of a mask lie (mm), and the mask, cut to its bounding box and framed by zeros."""
    boxes = [np.flatnonzero(mask.any(axis=other)) for other in (1, 0)]
    start, stop = np.array([[places[0], places[-1] + 1] for places in boxes]).T
    values = np.pad(mask[start[0] : stop[0], start[1] : stop[1]].astype("float32"), 1)
    x, y = ((first - 0.5 + np.arange(size)) * step for first, size, step in zip(start, values.shape, spacing))
    return x, y, values
