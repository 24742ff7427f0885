"""Box plots of the measures of each structure."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recalib_keras.core.colors import distinct_color
from recalib_keras.evaluation.figures.canvas import (
    DARK,
    GREY,
    PALE,
    add_axes,
    new_figure,
    plain,
    save_figure,
    text_width,
    tidy,
)
from recalib_keras.evaluation.figures.structure_colors import colors_by_name
from recalib_keras.evaluation.measures import MEASURES
from recalib_keras.evaluation.report import MEAN, Report
from recalib_keras.evaluation.structures import StructureLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW, SMALLEST_ROW = 0.24, 0.32  # inches, of a box, and of all boxes of one structure
PANEL, GAP, MARGIN, AXIS = 3.4, 0.3, 0.15, 0.5  # inches
LEGEND_LINE = 0.22
FONT, SMALL_FONT = 9, 7
WARNING = "#b00020"
BOX, FILL = 0.62, 0.5  # of the row, and how opaque
MEDIAN = 1.6  # points
FEW_SCANS = 10  # fewer are shown as they are
MOST_POINTS = 400  # of one box; more would hide each other
SCATTER = 0.2  # of the row, to either side
FAR = 10  # times the median distance; then the scale is logarithmic
DISTANCES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)  # mm


def boxplots(
    reports: Report | Mapping[str, Report],
    path: str | os.PathLike,
    structures: Sequence[StructureLike] | None = None,
    measures: Sequence[str] = ("dice", "hd95_mm"),
) -> Path:
    """Writes box plots of each structure as PNG, SVG or PDF. Several reports are shown side by side.

    There is a panel for each measure, with a row for each structure and one for their mean. Boxes reach from the first
    to the third quartile, with a line at the median. Whiskers reach to the furthest scan within 1.5 times that range.
    Each scan is a point. Fewer than 10 scans have no box, only points and median; the points of a scan in several
    reports are then joined. The number of scans is at the right. Scans in which a structure was missed have a Dice of 0
    and no distance; they are counted too. Distances are on a logarithmic scale if some are far larger than the others.

    Args:
        reports: A report, or several by name.
        path: The file to create or replace. Missing parent folders are created.
        structures: Structures whose colours the boxes of a single report have; None for distinct colours.
        measures: Names from `recalib_keras.evaluation.MEASURES`.

    Returns:
        `path` as a `Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        WriteError: If the file cannot be written.
    """
    return save_figure(draw_boxplots(reports, structures, measures), path)


def draw_boxplots(
    reports: Report | Mapping[str, Report],
    structures: Sequence[StructureLike] | None = None,
    measures: Sequence[str] = ("dice", "hd95_mm"),
) -> Figure:
    """Returns the box plots as a `matplotlib.figure.Figure`.

    Args:
        reports: See `boxplots`.
        structures: See `boxplots`.
        measures: See `boxplots`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    reports = {"": reports} if isinstance(reports, Report) else reports
    names = list(dict.fromkeys(name for report in reports.values() for name in report.structures))
    rows = [*names, MEAN] if len(names) > 1 else names
    height = max(SMALLEST_ROW, ROW * len(reports) + 0.12)
    figure, panels, bottom = _layout(rows, height, len(measures), reports)
    colors = _colors(rows, reports, structures)
    offsets = _offsets(len(reports), height)
    is_joined = len(reports) > 1 and all(len(report.scans) < FEW_SCANS for report in reports.values())
    for axes, measure in zip(panels, measures):
        values = {name: [_values(report, row, measure) for row in rows] for name, report in reports.items()}
        for offset, name in zip(offsets, reports):
            of_rows = [np.array(list(of_row.values())) for of_row in values[name]]
            _boxes(axes, of_rows, offset, height, [colors[row, name] for row in rows], is_joined)
            if axes is panels[-1]:
                _write_counts(axes, reports[name], rows, offset)
        if is_joined:
            _join(axes, list(values.values()), offsets)
        _finish(axes, rows, measure, is_first=axes is panels[0])
    if len(reports) > 1:
        _add_legend(figure, reports, colors, rows[0], bottom)
    return figure


def _layout(rows, height, count, reports):
    """Returns an empty figure, its panels side by side, and the space (inches) below them."""
    left = MARGIN + max(text_width(row, FONT) for row in rows) + 0.15
    bottom = AXIS + (LEGEND_LINE * len(reports) + 0.1 if len(reports) > 1 else 0)
    tall = height * len(rows) + 0.1
    counts = {text for report in reports.values() for text, _ in _counts(report, rows)}
    right = 0.1 + max(text_width(text, SMALL_FONT) for text in counts)
    figure = new_figure(left + count * (PANEL + GAP) - GAP + MARGIN + right, bottom + tall + MARGIN)
    panels = [add_axes(figure, left + index * (PANEL + GAP), bottom, PANEL, tall) for index in range(count)]
    return figure, panels, bottom


def _colors(rows, reports, structures):
    """Returns a colour for each row and report: of the structure, or of the report if there are several."""
    by_row = {row: plain(color) for row, color in colors_by_name(rows, structures).items()}
    by_row[MEAN] = (0.45, 0.45, 0.45)
    by_report = {name: plain(distinct_color(index)) for index, name in enumerate(reports)}
    return {(row, name): by_report[name] if len(reports) > 1 else by_row[row] for row in rows for name in reports}


def _offsets(count, height):
    """Returns the places of the boxes of one structure, in rows, the first one on top."""
    return (np.arange(count) - (count - 1) / 2) * ROW / height


def _values(report, row, measure):
    """Returns the value of a structure, or of the mean of structures, for each scan that has one."""
    if row == MEAN:
        values = report.scan_means(measure)
    elif row in report.labels:
        values = report.values(measure)[:, report.structures.index(row)]
    else:
        return {}
    return {scan: float(value) for scan, value in zip(report.scans, values) if not np.isnan(value)}


def _boxes(axes, values, offset, height, colors, is_joined):
    thickness = ROW / height
    for place, (of_row, color) in enumerate(zip(values, colors)):
        if not of_row.size:
            continue
        if of_row.size < FEW_SCANS:
            middle, half = np.median(of_row), BOX * thickness / 2
            ends = [place + offset - half, place + offset + half]
            axes.plot([middle, middle], ends, color=DARK, linewidth=MEDIAN, solid_capstyle="butt", zorder=3)
        else:
            _box(axes, of_row, place + offset, BOX * thickness, color)
        chosen = of_row if of_row.size <= MOST_POINTS else np.random.default_rng(0).choice(of_row, MOST_POINTS, False)
        scatter = np.random.default_rng(place).uniform(-SCATTER, SCATTER, chosen.size) * thickness * (not is_joined)
        # Few points are larger, and lie over the median.
        size, level = (14, 4) if of_row.size < FEW_SCANS else (5, 2)
        axes.scatter(
            chosen,
            place + offset + scatter,
            s=size,
            color=[color],
            edgecolors=DARK,
            linewidths=0.2,
            alpha=0.7,
            zorder=level,
        )


def _box(axes, values, place, width, color):
    line = {"color": DARK, "linewidth": 0.9}
    axes.boxplot(
        [values],
        positions=[place],
        widths=[width],
        orientation="horizontal",
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": (*color, FILL), "edgecolor": DARK, "linewidth": 0.9},
        medianprops={"color": DARK, "linewidth": MEDIAN},
        whiskerprops=line,
        capprops=line,
        zorder=3,
    )


def _join(axes, values, offsets):
    """Joins the points of each scan in one report and the next."""
    for (above, below), ends in zip(itertools.pairwise(values), itertools.pairwise(offsets)):
        for place, (first, second) in enumerate(zip(above, below)):
            for scan in first.keys() & second.keys():
                axes.plot(
                    [first[scan], second[scan]], [place + end for end in ends], color=GREY, linewidth=0.6, zorder=1
                )


def _counts(report, rows):
    """Returns for each row how many scans it shows, in words, and whether some were missed."""
    missed = report.counts("truth only")
    texts = []
    for row in rows:
        count = len(_values(report, row, "dice"))
        of_row = missed.get(row, 0) if row != MEAN else 0
        texts.append((f"n = {count}" + (f", {of_row} missed" if of_row else ""), bool(of_row)))
    return texts


def _write_counts(axes, report, rows, offset):
    for place, (text, is_missed) in enumerate(_counts(report, rows)):
        axes.annotate(
            text,
            (1, place + offset),
            xytext=(6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=SMALL_FONT,
            color=WARNING if is_missed else GREY,
        )


def _finish(axes, rows, measure, is_first):
    tidy(axes)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), rows if is_first else [""] * len(rows), fontsize=FONT)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.grid(True, color=PALE, linewidth=0.7)
    for place in range(1, len(rows)):
        axes.axhline(place - 0.5, color=PALE, linewidth=0.5 if rows[place] != MEAN else 1.5, zorder=0)
    axes.set_xlabel(MEASURES[measure], fontsize=FONT, color=DARK)
    low, high = axes.get_xlim()
    if measure in ("dice", "jaccard"):
        axes.set_xlim(max(-0.02, low), min(1.0, high) if high < 0.98 else 1.005)
    elif measure in ("hd95_mm", "assd_mm"):
        _scale_distances(axes, high)
    else:
        axes.axvline(0, color=GREY, linewidth=0.9, zorder=1)


def _scale_distances(axes, high):
    """Sets an axis of distances, logarithmic if a few distant voxels would otherwise squeeze all boxes."""
    values = np.concatenate([np.asarray(points.get_offsets())[:, 0] for points in axes.collections] or [[0.0]])
    if values.max() > FAR * max(1.0, np.median(values)):
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.5)
        ticks = [tick for tick in DISTANCES if tick <= high]
        axes.set_xticks(ticks, [f"{tick}" for tick in ticks])
        axes.set_xlabel(f"{axes.get_xlabel()}, logarithmic beyond 1 mm")
    axes.set_xlim(0, high)


def _add_legend(figure, reports, colors, row, bottom):
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(facecolor=(*colors[row, name], FILL), edgecolor=DARK, label=name) for name in reports],
        loc="upper left",
        bbox_to_anchor=(MARGIN / figure.get_figwidth(), (bottom - AXIS) / figure.get_figheight()),
        frameon=False,
        fontsize=FONT,
        borderaxespad=0,
        borderpad=0,
    )
