"""Slices of a scan in a picture: where to cut, which grey values to show, and which side of the patient is where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from recalib_keras.evaluation.structures import StructureLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# A few bright vessels, or metal in a CT, must not darken the rest.
GREY_PERCENTILES = (0.5, 99.5)
FILL_OPACITY = 0.35
LETTER = 0.12  # inches


class View(NamedTuple):
    """One of the three ways to cut an RAS array.

    Args:
        name: Name of the view.
        coordinate: Letter of the axis that is cut.
        axis: The axis that is cut.
        shown: The axes that are shown, from left to right and from bottom to top.
        ends: Letters at the left, right, lower and upper border.
    """

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


def centre_of(mask: np.ndarray) -> list[int]:
    """Returns the voxel at the centre of mass; along each axis the nearest one whose slice cuts a structure.

    Args:
        mask: Boolean array `(X, Y, Z)`. The centre of the array is returned if it is empty.
    """
    if not mask.any():
        return [size // 2 for size in mask.shape]
    centre = []
    for axis in range(3):
        area = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        occupied = np.flatnonzero(area)
        # The centre of mass of two kidneys, for example, is in the spine.
        mean = area @ np.arange(area.size) / area.sum()
        centre.append(int(occupied[np.abs(occupied - mean).argmin()]))
    return centre


def grey_limits(planes: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns the values shown as black and as white.

    Args:
        planes: Slices that are shown side by side.
    """
    shown = np.concatenate([plane.ravel() for plane in planes])
    low, high = np.percentile(shown, GREY_PERCENTILES)
    return (low, high) if low < high else (shown.min(), shown.max())


def show_slice(
    axes: Axes,
    view: View,
    plane: np.ndarray,
    sizes: Sequence[float] | np.ndarray,
    limits: tuple[float, float],
    colormap: str = "gray",
) -> AxesImage:
    """Shows a slice on a scale of millimetres.

    Args:
        axes: Axes with the proportions of the slice.
        view: One of `VIEWS`.
        plane: The slice.
        sizes: Three sizes of the scan (mm).
        limits: Values shown as black and as white.
        colormap: Name of a matplotlib colormap.

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
        aspect="auto",  # the axes have the right proportions already
        interpolation="bilinear",
    )
    axes.set_axis_off()
    return shown


def letter_ends(axes: Axes, view: View) -> None:
    """Writes the side of the patient (L, R, A, P, S or I) at each border.

    Args:
        axes: Axes that show a slice.
        view: The view of the slice.
    """
    from matplotlib.patheffects import withStroke

    left, right, low, high = view.ends
    extent = axes.get_position().size * cast("Figure", axes.figure).get_size_inches()
    for letter, x, y in ((left, 0, 0.5), (right, 1, 0.5), (low, 0.5, 0), (high, 0.5, 1)):
        if extent[1 if x == 0.5 else 0] < 4 * LETTER:  # too small for two letters
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


def show_structures(
    axes: Axes,
    plane: np.ndarray,
    structures: Sequence[StructureLike],
    spacing: Sequence[float] | np.ndarray,
    linewidth: float = 1.2,
    opacity: float = FILL_OPACITY,
) -> None:
    """Fills and outlines each structure that the slice cuts.

    Args:
        axes: Axes on a scale of millimetres.
        plane: Slice of the label map.
        structures: The structures to show.
        spacing: Two sizes of a voxel (mm).
        linewidth: Width of the outlines (points).
        opacity: Opacity of the filling, from 0 to 1.
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
    """Returns the places of a mask's voxels (mm) and the mask, cut to its bounding box with a frame of zeros."""
    boxes = [np.flatnonzero(mask.any(axis=other)) for other in (1, 0)]
    start, stop = np.array([[places[0], places[-1] + 1] for places in boxes]).T
    values = np.pad(mask[start[0] : stop[0], start[1] : stop[1]].astype("float32"), 1)
    x, y = ((first - 0.5 + np.arange(size)) * step for first, size, step in zip(start, values.shape, spacing))
    return x, y, values
