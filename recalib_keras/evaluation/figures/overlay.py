"""A picture of a scan and of the structures found in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recalib_keras.evaluation.figures.canvas import add_axes, new_figure, plain, save_figure
from recalib_keras.evaluation.figures.slices import (
    VIEWS,
    centre_of,
    grey_limits,
    letter_ends,
    show_slice,
    show_structures,
)
from recalib_keras.evaluation.structures import StructureLike, without_side
from recalib_keras.volumes import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120
# Limits (inches) of the width of a row of panels, and of the height of both rows.
LARGEST_WIDTH, LARGEST_HEIGHT = 9.0, 12.0
SMALLEST_WIDTH = 4.5  # of the picture, so that the legend has room
GAP, TITLE, LINE = 0.25, 0.3, 0.22  # inches
LEGEND_COLUMNS, LEGEND_ENTRIES = 3, 24
SAME_COLOR = 2  # of 255: in FreeSurfer's table the left and the right pallidum differ by 1
CONVENTION = "neurological convention: the patient's left (L) is on the left"


def overlay(scan: Volume, labels: np.ndarray, structures: Sequence[StructureLike], path: str | os.PathLike) -> Path:
    """Writes a picture of a scan and of the structures found in it as a PNG file.

    It shows a sagittal, a coronal and an axial slice through the structures' centre of mass: in the upper row the scan
    alone, in the lower row with the structures outlined and in translucent colour. Without any structure the slices go
    through the centre of the scan. All panels have the same scale. The patient's left is on the left (neurological
    convention), for any orientation of the scan.

    Args:
        scan: The scan.
        labels: Integer array of label numbers, on the scan's grid.
        structures: The structures to show.
        path: The file to create or replace. Missing parent folders are created.

    Returns:
        `path` as a `Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        VolumeError: If `labels` and the scan differ in shape.
        WriteError: If the file cannot be written.
    """
    return save_figure(draw(scan, labels, structures), path)


def draw(scan: Volume, labels: np.ndarray, structures: Sequence[StructureLike]) -> Figure:
    """Returns the picture as a `matplotlib.figure.Figure`.

    Args:
        scan: See `overlay`.
        labels: See `overlay`.
        structures: See `overlay`.

    Raises:
        ImportError: If matplotlib is not installed.
        VolumeError: If `labels` and the scan differ in shape.
    """
    image = scan.conform("RAS")
    mapped = Volume(np.asarray(labels), scan.grid).conform("RAS", order=0).array
    present = set(np.unique(mapped).tolist())
    found = [structure for structure in structures if structure.id in present]
    centre = centre_of(np.isin(mapped, [structure.id for structure in found]))
    sizes = np.array(image.grid.shape) * image.grid.spacing
    legend = _legend(found)
    figure, panels = _layout(sizes, -(-len(legend) // LEGEND_COLUMNS))
    limits = grey_limits([np.take(image.array, centre[view.axis], view.axis) for view in VIEWS])
    places = (image.grid.affine @ [*centre, 1])[:3]
    for view, above, below in zip(VIEWS, *panels):
        at = centre[view.axis], view.axis
        above.set_title(f"{view.name}, {view.coordinate} = {places[view.axis]:.0f} mm", color="white", fontsize=9)
        for axes in (above, below):
            show_slice(axes, view, np.take(image.array, *at), sizes, limits)
            letter_ends(axes, view)
        show_structures(below, np.take(mapped, *at), found, np.take(image.grid.spacing, view.shown))
    _add_legend(figure, legend)
    return figure


def _layout(sizes, legend_lines):
    """Returns an empty figure and its axes, two rows of three, all to the same scale."""
    panels = np.array([[sizes[axis] for axis in view.shown] for view in VIEWS])
    scale = min(LARGEST_WIDTH / panels[:, 0].sum(), LARGEST_HEIGHT / 2 / panels[:, 1].max())
    panels = panels * scale
    row = panels[:, 1].max()
    content = panels[:, 0].sum() + (len(VIEWS) - 1) * GAP
    width = max(SMALLEST_WIDTH, content + 2 * GAP)
    bottom = LINE * (legend_lines + 1) + GAP / 2
    height = bottom + 2 * row + GAP + TITLE
    figure = new_figure(width, height, DOTS_PER_INCH, "black")
    lefts = (width - content) / 2 + np.concatenate([[0], np.cumsum(panels[:-1, 0] + GAP)])
    rows = [
        [add_axes(figure, left, base + (row - tall) / 2, wide, tall) for left, (wide, tall) in zip(lefts, panels)]
        for base in (bottom + row + GAP, bottom)
    ]
    return figure, rows


def _legend(structures):
    """Returns names and colours for the legend: the first structures, and how many are left out.

    The two sides of a structure are one entry if they have the same colour.
    """
    entries = list({_name(each, structures): plain(each.color) for each in structures}.items())
    if len(entries) > LEGEND_ENTRIES:
        left_out = len(entries) - LEGEND_ENTRIES + 1
        entries[LEGEND_ENTRIES - 1 :] = [(f"and {left_out} more", "none")]
    return entries or [("no structure found", "none")]


def _name(structure, structures):
    """Returns the name of a structure, without its side if the other side is shown in the same colour."""
    mirror = getattr(structure, "mirror", None)
    others = [each for each in structures if each.id == mirror and each.id != structure.id]
    is_alike = others and np.abs(np.subtract(others[0].color, structure.color)).max() <= SAME_COLOR
    return without_side(structure.name) if is_alike else structure.name


def _add_legend(figure, entries):
    from matplotlib.patches import Patch

    height = figure.get_figheight()
    figure.text(0.5, GAP / 2 / height, CONVENTION, color="lightgray", fontsize=7, ha="center", va="bottom")
    figure.legend(
        handles=[Patch(color=color, label=name) for name, color in entries],
        loc="lower center",
        bbox_to_anchor=(0.5, (GAP / 2 + LINE * 0.7) / height),
        ncols=min(LEGEND_COLUMNS, len(entries)),
        frameon=False,
        labelcolor="white",
        fontsize=8,
        borderaxespad=0,
        borderpad=0,
    )
