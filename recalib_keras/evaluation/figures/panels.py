"""Image, ground truth and prediction of the best, the median and the worst scan, side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recalib_keras.evaluation.cases import check_grids
from recalib_keras.evaluation.figures.canvas import DARK, add_axes, new_figure, plain, save_figure, text_width
from recalib_keras.evaluation.figures.slice_choice import choose_slices, surroundings
from recalib_keras.evaluation.figures.slices import (
    VIEWS,
    add_scale_bar,
    centre_of,
    grey_limits,
    letter_ends,
    place_of,
    position,
    show_slice,
    show_structures,
)
from recalib_keras.evaluation.figures.structure_colors import as_shown
from recalib_keras.evaluation.report import Report
from recalib_keras.evaluation.structures import StructureLike
from recalib_keras.volumes import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_PANEL, SMALLEST_COLUMN = 2.6, 1.0  # inches
MARGIN, GAP, TITLE, LINE, HEAD = 0.15, 0.06, 0.26, 0.163, 0.27  # inches; a title over all, a head over each row
FONT = 8
OUTLINE = 0.8  # points
# Around the structures. In a whole head or body, small structures would be too small to see.
CONTEXT, SMALLEST_CUT = 15.0, 60.0  # mm
COLUMNS = ("image", "truth", "prediction")


def best_median_worst(report: Report, measure: str = "dice") -> dict[str, str]:
    """Returns the names of the best, the median and the worst scan of a report, by rank.

    Scans are ranked by the mean over their structures; those without a value are excluded. Two scans have no median. A
    single scan has the rank `"only"`.

    Args:
        report: The report.
        measure: One of `recalib_keras.evaluation.MEASURES` for which more is better.
    """
    means = report.scan_means(measure)
    ranked = [report.scans[index] for index in np.argsort(-means, kind="stable") if not np.isnan(means[index])]
    if len(ranked) < 2:
        return dict(zip(["only"], ranked))
    middle = {"median": ranked[len(ranked) // 2]} if len(ranked) > 2 else {}
    return {"best": ranked[0], **middle, "worst": ranked[-1]}


def panels(rows: Mapping[str, Sequence[Volume]], structures: Sequence[StructureLike], path: str | os.PathLike) -> Path:
    """Writes image, ground truth and prediction of some scans, a row for each scan, as PNG, SVG or PDF.

    All rows show the same view, the one of the three that shows most of the structures. The slice is the one that shows
    most of the structures of the ground truth, see `choose_slices`, and is cut to 15 mm around them. Its place is in
    the title of the row. The patient's left is on the left (neurological convention).

    Args:
        rows: Image, ground truth and prediction, three volumes on the same grid, by the title of the row.
        structures: The structures to show.
        path: The file to create or replace. Missing parent folders are created.

    Returns:
        `path` as a `Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        VolumeError: If the volumes of a scan are not on the same grid.
        WriteError: If the file cannot be written.
    """
    return save_figure(draw_panels(rows, structures), path)


def draw_panels(rows: Mapping[str, Sequence[Volume]], structures: Sequence[StructureLike]) -> Figure:
    """Returns the panels as a `matplotlib.figure.Figure`.

    Args:
        rows: See `panels`.
        structures: See `panels`.

    Raises:
        ImportError: If matplotlib is not installed.
        VolumeError: If the volumes of a scan are not on the same grid.
    """
    rows = {
        title: (check_grids(image, truth), truth, check_grids(prediction, truth))
        for title, (image, truth, prediction) in rows.items()
    }
    ids = [structure.id for structure in structures]
    turned = [[volume.conform("RAS", order=0) for volume in volumes] for volumes in rows.values()]
    spacings = [image.grid.spacing for image, *_ in turned]
    view = VIEWS[_best_view([_either(volumes, ids) for volumes in turned], spacings)]
    cuts, places = zip(*(_cut(view, volumes, ids) for volumes in turned))
    titles = [f"{title}; {position(view, place)}" for title, place in zip(rows, places)]
    steps = [np.take(spacing, view.shown) for spacing in spacings]
    shown = {label for _, *maps in cuts for plane in maps for label in np.unique(plane).tolist()}
    found = [structure for structure in as_shown(structures) if structure.id in shown]
    figure, grid = _layout([np.array(cut[0].shape) * step for cut, step in zip(cuts, steps)], titles, found)
    for axes, cut, step in zip(grid, cuts, steps):
        _show_row(axes, view, cut, step, found)
    add_scale_bar([axes for axes, *_ in grid])
    return figure


def _either(volumes, ids):
    """Returns the voxels where the ground truth or the prediction has a structure."""
    return np.isin(volumes[1].array, ids) | np.isin(volumes[2].array, ids)


def _best_view(masks, spacings):
    """Returns the axis across which slices show the largest area of the structures."""
    areas = np.zeros(3)
    for mask, spacing in zip(masks, spacings):
        centre = centre_of(mask)
        for axis in range(3):
            areas[axis] += np.take(mask, centre[axis], axis).sum() * np.prod(np.delete(spacing, axis))
    return int(areas.argmax())


def _cut(view, volumes, ids):
    """Returns the slices of image, truth and prediction, cut to their structures' surroundings, and where they lie."""
    in_truth, either = np.isin(volumes[1].array, ids), _either(volumes, ids)
    best = choose_slices(volumes[1 if in_truth.any() else 2].array, ids, view.axis)[0]
    image, truth, prediction, mask = (
        np.take(array, best, view.axis) for array in (*(volume.array for volume in volumes), either)
    )
    spacing = np.take(volumes[0].grid.spacing, view.shown)
    window = tuple(surroundings(mask.any(axis=1 - axis), spacing[axis], CONTEXT, SMALLEST_CUT) for axis in (0, 1))
    return (image[window], truth[window], prediction[window]), place_of(view, best, volumes[0].grid)


def _layout(sizes, titles, structures):
    """Returns a figure with its text and its empty axes, a row of three for each scan, all to the same scale.

    Args:
        sizes: Sizes of each row's slice, two numbers (mm).
        titles: Titles of the rows.
        structures: Structures in the legend.
    """
    widths, heights = (np.array(sizes) * LARGEST_PANEL / np.max(sizes)).T
    column = max(SMALLEST_COLUMN, widths.max())
    content = max(3 * column + 2 * GAP, *(text_width(title, FONT) for title in titles))
    legend = {structure.entry: plain(structure.color) for structure in structures}
    columns = max(1, int(content / max([text_width(name, FONT) + 0.45 for name in legend] or [1])))
    bottom = MARGIN + LINE * math.ceil(len(legend) / columns) + GAP
    figure = new_figure(content + 2 * MARGIN, bottom + heights.sum() + len(sizes) * HEAD + TITLE)
    top = figure.get_figheight() - TITLE
    for index, name in enumerate(COLUMNS):
        _write(figure, MARGIN + index * (column + GAP) + column / 2, top + 0.03, name, "center", weight="bold")
    grid = []
    for wide, tall, title in zip(widths, heights, titles):
        top -= HEAD + tall
        _write(figure, MARGIN, top + tall + 0.06, title, "left")
        lefts = [MARGIN + index * (column + GAP) + (column - wide) / 2 for index in range(3)]
        grid.append([add_axes(figure, left, top, wide, tall) for left in lefts])
    _add_legend(figure, legend, columns)
    return figure, grid


def _show_row(axes, view, cut, spacing, structures):
    image, truth, prediction = cut
    sizes = np.insert(np.array(image.shape) * spacing, view.axis, 0.0)
    ids = [structure.id for structure in structures]
    limits = grey_limits([image], image[np.isin(truth, ids)])
    for one, labels in zip(axes, (None, truth, prediction)):
        show_slice(one, view, image, sizes, limits)
        if labels is not None:
            show_structures(one, labels, structures, spacing, OUTLINE)
    letter_ends(axes[0], view)


def _write(figure, x, y, text, align, **style):
    """Writes a text at a place in inches from the lower left corner."""
    wide, tall = figure.get_size_inches()
    figure.text(x / wide, y / tall, text, fontsize=FONT, color=DARK, ha=align, va="bottom", **style)


def _add_legend(figure, legend, columns):
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(color=color, label=name) for name, color in legend.items()],
        loc="lower left",
        bbox_to_anchor=(MARGIN / figure.get_figwidth(), MARGIN / figure.get_figheight()),
        ncols=columns,
        frameon=False,
        fontsize=FONT,
        borderaxespad=0,
        borderpad=0,
        labelspacing=0.4,
        columnspacing=1.0,
        handlelength=1.2,
    )
