"""Slices of a scan in a picture: where to cut, which grey values to show, and which side of the patient is where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from recalib_keras.evaluation.structures import StructureLike
from recalib_keras.volumes import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# A few bright vessels, or metal in a CT, must not darken the rest.
GREY_PERCENTILES = (0.5, 99.5)
# The middle half of the values in the structures, and how much more is shown to either side, in times its range.
INSIDE_PERCENTILES, WIDER = (25, 75), 5.0
HEADROOM = 0.08  # of the shown range: the brightest tissue is a light grey, on which colours can be seen
FILL_OPACITY = 0.35
BAR_LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200)  # mm
LONGEST_BAR, BAR_PLACE = 0.3, 0.05  # of the width of the axes, and inches from the corner
LEAST_FOR_BAR = 0.6  # inches, of either side of the axes
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


def grey_limits(
    planes: Sequence[np.ndarray], inside: np.ndarray | None = None, headroom: float = HEADROOM
) -> tuple[float, float]:
    """Returns the values shown as black and as white.

    Args:
        planes: Slices that are shown side by side.
        inside: Values in the structures that are shown. The range is narrowed to what is near most of them: in a CT,
            soft tissue then has contrast beside bone and air. None, or no value, to leave it.
        headroom: How far white is above the brightest value that is shown, as a share of the range.
    """
    shown = np.concatenate([plane.ravel() for plane in planes])
    low, high = np.percentile(shown, GREY_PERCENTILES)
    if inside is not None and inside.size:
        darkest, brightest = np.percentile(inside, INSIDE_PERCENTILES)
        room = WIDER * (brightest - darkest)
        if room > 0:
            low, high = max(low, darkest - room), min(high, brightest + room)
    if not low < high:
        return float(shown.min()), float(shown.max())
    return float(low), float(high + headroom * (high - low))


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
    axes.set_autoscale_on(False)  # an outline at the border must not move it
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


def add_scale_bar(panels: Sequence[Axes]) -> None:
    """Draws a bar of a round length in the lower left corner of a panel, with its length in mm.

    Args:
        panels: Axes with one scale of millimetres. The first one with room has the bar; if there is none, none has it.
    """
    from matplotlib.patheffects import withStroke

    for axes in panels:
        low, high = axes.get_xlim()
        width, height = axes.get_position().size * cast("Figure", axes.figure).get_size_inches()
        if min(width, height) >= LEAST_FOR_BAR:
            break
    else:
        return
    per_inch = (high - low) / width
    length = max((bar for bar in BAR_LENGTHS if bar <= LONGEST_BAR * (high - low)), default=BAR_LENGTHS[0])
    x, y = low + BAR_PLACE * per_inch, axes.get_ylim()[0] + BAR_PLACE * per_inch
    outlined = [withStroke(linewidth=4, foreground="black")]
    axes.plot(
        [x, x + length], [y, y], color="white", linewidth=2, solid_capstyle="butt", path_effects=outlined, zorder=5
    )
    axes.annotate(
        f"{length} mm",
        (x, y),
        xytext=(0, 3),
        textcoords="offset points",
        ha="left",
        va="bottom",
        color="white",
        fontsize=7,
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )


def place_of(view: View, index: int, grid: Grid) -> float:
    """Returns where along the axis of a view the middle of a slice lies (mm).

    Args:
        view: One of `VIEWS`.
        index: Index of the slice.
        grid: Grid of the scan, with the orientation RAS.

    Example:
        >>> place_of(VIEWS[2], 3, Grid((4, 4, 4), np.diag([1.0, 1.0, 2.0, 1.0])))
        6.0
    """
    middle = np.where(np.arange(3) == view.axis, index, (np.array(grid.shape) - 1) / 2)
    return float((grid.affine @ [*middle, 1])[view.axis])


def position(view: View, place: float, is_named: bool = True) -> str:
    """Returns where along the axis of a view a slice lies, in words.

    Args:
        view: One of `VIEWS`.
        place: Coordinate of the slice (mm).
        is_named: Whether the name of the view comes first.

    Example:
        >>> position(VIEWS[2], -12.4), position(VIEWS[0], -0.2, is_named=False)
        ('axial, z = −12 mm', 'x = 0 mm')
    """
    where = f"{view.coordinate} = {round(place)} mm".replace("-", "−")
    return f"{view.name}, {where}" if is_named else where


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
