"""A picture of a scan and of the structures found in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recalib_keras.evaluation.figures.canvas import (
    add_axes,
    check_format,
    format_of,
    new_figure,
    plain,
    save_figure,
    text_width,
)
from recalib_keras.evaluation.figures.slice_choice import choose_slices, surroundings
from recalib_keras.evaluation.figures.slices import (
    VIEWS,
    View,
    add_scale_bar,
    grey_limits,
    letter_ends,
    place_of,
    position,
    show_slice,
    show_structures,
)
from recalib_keras.evaluation.figures.structure_colors import ShownStructure, as_shown
from recalib_keras.evaluation.structures import StructureLike
from recalib_keras.volumes import Channels, Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
# Limits (inches) of the width of a row of panels, of the height of all rows, and of a single panel.
LARGEST_WIDTH, LARGEST_HEIGHT, LARGEST_PANEL = 9.0, 12.0, 4.0
SMALLEST_WIDTH = 4.5  # of the picture, so that the legend has room
GAP, MARGIN, TITLE, LINE = 0.08, 0.2, 0.26, 0.18  # inches
FONT, SMALL_FONT = 9, 8
LEGEND_ENTRIES = 36
ELSEWHERE = 0.35  # opacity in the legend of structures that no slice cuts
# Around the structures. In a whole body, small structures would be too small to see.
CONTEXT, SMALLEST_CUT = 15.0, 80.0  # mm
MUCH_SMALLER = 1.2  # times; then a view is a row instead of a column
THIN = 0.1  # a view whose smaller side is less than this share of the larger one shows nothing
CONVENTION = "neurological convention: the patient's left (L) is on the left"


@dataclass(frozen=True)
class OverlayStyle:
    """How the pictures of many scans are drawn.

    Args:
        format: Format of the files: png, svg or pdf.
        slices: How many slices of each view.

    Raises:
        ValueError: If the format is another one, or `slices` is less than 1.
    """

    format: str = "png"
    slices: int = 1

    def __post_init__(self):
        check_format(self.format)
        _check_slices(self.slices)


class _Cut(NamedTuple):
    """One panel: a slice of one channel, with or without the structures."""

    view: View
    place: int
    channel: int = 0
    is_labelled: bool = True
    title: str = ""


def overlay(
    scan: Volume | Channels,
    labels: np.ndarray,
    structures: Sequence[StructureLike],
    path: str | os.PathLike,
    slices: int = 1,
) -> Path:
    """Writes a picture of a scan and of the structures found in it, as PNG, SVG or PDF by the suffix of the file.

    It shows the sagittal, the coronal and the axial slice that show most of the structures: the scan alone, each of its
    channels, and below or beside it the structures outlined and in translucent colour. With several slices of each
    view, each view has a row, with the structures. A scan of a single slice is shown in its plane alone.
    The picture is cut to the surroundings of the structures. All panels have the same scale in mm, so voxels have their
    true proportions. The patient's left is on the left (neurological convention), for any orientation of the scan.
    Colours are those of the structures, moved apart until they can be told from the scan and from one another.

    Args:
        scan: The scan.
        labels: Integer array of label numbers, on the scan's grid.
        structures: The structures to show.
        path: The file to create or replace. Missing parent folders are created.
        slices: How many slices of each view.

    Returns:
        `path` as a `Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `slices` is less than 1, or the file does not end in .png, .svg or .pdf.
        VolumeError: If `labels` and the scan differ in shape.
        WriteError: If the file cannot be written.
    """
    format_of(path)  # a wrong name is an error before the work
    return save_figure(draw(scan, labels, structures, slices), path)


def draw(scan: Volume | Channels, labels: np.ndarray, structures: Sequence[StructureLike], slices: int = 1) -> Figure:
    """Returns the picture as a `matplotlib.figure.Figure`.

    Args:
        scan: See `overlay`.
        labels: See `overlay`.
        structures: See `overlay`.
        slices: See `overlay`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `slices` is less than 1.
        VolumeError: If `labels` and the scan differ in shape.
    """
    _check_slices(slices)
    images, mapped = _turned(scan, labels)
    present = np.unique(mapped.array)
    found = [structure for structure in as_shown(structures) if structure.id in present]
    ids = [structure.id for structure in found]
    *images, mapped = _cut_to_structures(images, mapped, ids)
    names = scan.names if isinstance(scan, Channels) else ("",)
    rows = _arranged(mapped, ids, slices, names)
    sizes = np.array(mapped.grid.shape) * mapped.grid.spacing
    legend = _legend(found, _numbers_in(mapped.array, rows))
    figure, panels = _layout(sizes, rows, legend)
    inside = np.isin(mapped.array, ids)
    limits = [_limits(image.array, inside, rows) for image in images]
    for row, line in zip(rows, panels):
        for cut, axes in zip(row, line):
            plane = np.take(images[cut.channel].array, cut.place, cut.view.axis)
            show_slice(axes, cut.view, plane, sizes, limits[cut.channel])
            if cut.is_labelled:
                steps = np.take(mapped.grid.spacing, cut.view.shown)
                show_structures(axes, np.take(mapped.array, cut.place, cut.view.axis), found, steps)
            if slices == 1 or axes is line[0]:
                letter_ends(axes, cut.view)
    add_scale_bar([axes for line in panels for axes in line])
    return figure


def _check_slices(slices):
    if slices < 1:
        raise ValueError(f"expected 1 slice of each view or more, got {slices}; leave it out for 1")


def _turned(scan, labels):
    """Returns the channels of a scan and its label map, axes growing to the right, the front and up."""
    volumes = scan.volumes if isinstance(scan, Channels) else (scan,)
    mapped = Volume(np.asarray(labels), scan.grid).conform("RAS", order=0)
    return [volume.conform("RAS") for volume in volumes], mapped


def _cut_to_structures(images, mapped, ids):
    """Returns images and label map cut to what is around the structures, the label map last."""
    is_found = np.isin(mapped.array, ids)
    others = ((1, 2), (0, 2), (0, 1))
    x, y, z = (
        surroundings(is_found.any(axis=across), step, CONTEXT, SMALLEST_CUT)
        for across, step in zip(others, mapped.grid.spacing)
    )
    grid = mapped.grid.cropped((x, y, z))
    return [Volume(volume.array[x, y, z], grid) for volume in (*images, mapped)]


def _arranged(mapped, ids, slices, names):
    """Returns the panels, a list for each row."""
    views = _worth_showing(np.array(mapped.grid.shape) * mapped.grid.spacing, mapped.grid.shape)
    chosen = {view.name: choose_slices(mapped.array, ids, view.axis, slices) for view in views}
    if slices > 1:
        return [
            [
                _Cut(view, index, title=position(view, place_of(view, index, mapped.grid), is_named=not number))
                for number, index in enumerate(chosen[view.name])
            ]
            for view in views
        ]
    rows = []
    for channel, name in [*enumerate(names), (None, "")]:
        cuts = [_Cut(view, chosen[view.name][0], channel or 0, channel is None, name) for view in views]
        if channel == 0:
            where = [position(cut.view, place_of(cut.view, cut.place, mapped.grid)) for cut in cuts]
            cuts = [cut._replace(title=": ".join(filter(None, (name, text)))) for cut, text in zip(cuts, where)]
        rows.append(cuts)
    sizes = np.array(mapped.grid.shape) * mapped.grid.spacing
    columns = [list(column) for column in zip(*rows)]
    is_better = len(rows) > len(views) or _area(sizes, columns) * MUCH_SMALLER < _area(sizes, rows)
    return columns if is_better else rows


def _area(sizes, rows):
    """Returns the area (mm²) that rows of panels take, empty space included."""
    sides = [np.array([[sizes[axis] for axis in cut.view.shown] for cut in row]) for row in rows]
    return max(row[:, 0].sum() for row in sides) * sum(row[:, 1].max() for row in sides)


def _worth_showing(sizes, shape):
    """Returns the views that show an area: all, or the one in the plane of a scan of few slices."""

    def is_wide(view):
        sides = [sizes[axis] for axis in view.shown]
        return min(shape[axis] for axis in view.shown) > 1 and min(sides) >= THIN * max(sides)

    return [view for view in VIEWS if is_wide(view)] or [
        max(VIEWS, key=lambda view: np.prod(np.take(sizes, view.shown)))
    ]


def _numbers_in(labels, rows):
    """Returns the label numbers in the slices that are shown."""
    planes = [np.unique(np.take(labels, cut.place, cut.view.axis)) for row in rows for cut in row]
    return set(np.concatenate(planes).tolist())


def _limits(image, inside, rows):
    places = dict.fromkeys((cut.view, cut.place) for row in rows for cut in row)
    planes, masks = ([np.take(array, place, view.axis) for view, place in places] for array in (image, inside))
    return grey_limits(planes, np.concatenate([plane[mask] for plane, mask in zip(planes, masks)]))


def _layout(sizes, rows, legend):
    """Returns an empty figure with its legend, and the axes of each row, all to the same scale."""
    mm = [np.array([[sizes[axis] for axis in cut.view.shown] for cut in row]) for row in rows]
    widest, total = max(row[:, 0].sum() for row in mm), sum(row[:, 1].max() for row in mm)
    largest = max(row.max() for row in mm)
    scale = min(LARGEST_WIDTH / widest, LARGEST_HEIGHT / total, LARGEST_PANEL / largest)
    panels = [row * scale for row in mm]
    slots = _slots(panels, rows)
    contents = [slot.sum() + GAP * (len(slot) - 1) for slot in slots]
    width = max(SMALLEST_WIDTH, max(contents) + 2 * MARGIN)
    columns = min(
        len(legend), max(1, int((width - 2 * MARGIN) / max(text_width(name, SMALL_FONT) + 0.55 for name, *_ in legend)))
    )
    bottom = LINE * (1.9 + -(-len(legend) // columns))
    heads = [TITLE if any(cut.title for cut in row) else 0.0 for row in rows]
    tall = [row[:, 1].max() for row in panels]
    figure = new_figure(width, bottom + sum(tall) + sum(heads) + GAP * len(rows), DOTS_PER_INCH, "black")
    top, lines = figure.get_figheight() - GAP / 2, []
    for cuts, row, slot, content, head, height in zip(rows, panels, slots, contents, heads, tall):
        top -= head + height
        lefts = (width - content) / 2 + np.concatenate([[0], np.cumsum(slot[:-1] + GAP)]) + (slot - row[:, 0]) / 2
        lines.append([add_axes(figure, x, top + (height - y) / 2, wide, y) for x, (wide, y) in zip(lefts, row)])
        for x, (wide, _), cut in zip(lefts, row, cuts):
            _write(figure, x + wide / 2, top + height + 0.05, cut.title, "white", FONT)
        top -= GAP
    _add_legend(figure, legend, columns)
    return figure, lines


def _legend(structures: Sequence[ShownStructure], numbers: set[int]) -> list[tuple[str, tuple | str, float]]:
    """Returns names, colours and opacities for the legend: the first structures, and how many are left out.

    Structures that are in none of the slices come last, and are faint.
    """
    seen = dict.fromkeys(one.entry for one in structures if one.id in numbers)
    colors = {one.entry: plain(one.color) for one in structures}
    entries: list[tuple[str, tuple | str, float]] = [(name, colors[name], 1.0) for name in seen]
    entries += [(f"{name} (elsewhere)", colors[name], ELSEWHERE) for name in colors if name not in seen]
    if len(entries) > LEGEND_ENTRIES:
        left_out = len(entries) - LEGEND_ENTRIES + 1
        entries[LEGEND_ENTRIES - 1 :] = [(f"and {left_out} more", "none", 1.0)]
    return entries or [("no structure found", "none", 1.0)]


def _slots(panels, rows):
    """Returns for each row how wide its panels and the titles above are; rows without titles stand below the first."""
    titled = [row if any(cut.title for cut in row) else rows[0] for row in rows]
    titles = [[text_width(cut.title, FONT) if cut.title else 0.0 for cut in row] for row in titled]
    return [np.maximum(panel[:, 0], widths) for panel, widths in zip(panels, titles)]


def _add_legend(figure, entries, columns):
    from matplotlib.patches import Patch

    width, height = figure.get_size_inches()
    _write(figure, width / 2, LINE * 0.5, CONVENTION, "lightgray", 7)
    figure.legend(
        handles=[Patch(color=color, alpha=opacity, label=name) for name, color, opacity in entries],
        loc="lower center",
        bbox_to_anchor=(0.5, LINE * 1.5 / height),
        ncols=columns,
        frameon=False,
        labelcolor="white",
        fontsize=SMALL_FONT,
        borderaxespad=0,
        borderpad=0,
    )


def _write(figure, x, y, text, color, size):
    """Writes a text, centred, at a place in inches from the lower left corner."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, color=color, fontsize=size, ha="center", va="bottom")
