"""Bland–Altman plots: how far predicted volumes are from the true ones, against their mean."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
    volume_unit,
)
from recalib_keras.evaluation.figures.structure_colors import colors_by_name
from recalib_keras.evaluation.report import Report
from recalib_keras.evaluation.structures import StructureLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 1.75, 1.35  # inches, of a panel
LEFT, RIGHT, HEAD, AXIS, FOOT, MARGIN = 0.5, 0.45, 0.4, 0.28, 0.4, 0.12  # inches, around it and around all of them
COLUMNS = 5
FONT, SMALL_FONT = 8, 7
AGREEMENT = 1.96  # deviations; 95 % of normally distributed differences lie within
FEWEST = 3  # scans, for limits of agreement
ROOM = 0.06  # of the range that is drawn, above and below
SMALLEST_RANGE = 2.0  # %, to either side
HEADING = 0.24  # inches from the top
KEY = "points: scans; line: mean difference; dashed: ±1.96 standard deviations (95 % limits of agreement)"


def bland_altman(report: Report, path: str | os.PathLike, structures: Sequence[StructureLike] | None = None) -> Path:
    """Writes Bland–Altman plots of the volumes, a panel for each structure, as PNG, SVG or PDF by the file's suffix.

    Each point is a scan: the difference of predicted and true volume as a percentage of their mean, against that mean.
    A line shows the mean difference (the bias), dashed lines the limits of agreement, 1.96 standard deviations around
    it; their values are at the right. All panels have one scale of differences. Scans in which a structure was missed
    or spurious have no such difference; they are counted in the title.

    Args:
        report: The report.
        path: The file to create or replace. Missing parent folders are created.
        structures: Structures whose colours the points have; None for distinct colours.

    Returns:
        `path` as a `Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the file does not end in .png, .svg or .pdf.
        WriteError: If the file cannot be written.

    Reference:
        Bland & Altman, "Measuring agreement in method comparison studies", Stat. Methods Med. Res. 1999, section 3.2.
    """
    return save_figure(draw_bland_altman(report, structures), path)


def draw_bland_altman(report: Report, structures: Sequence[StructureLike] | None = None) -> Figure:
    """Returns the plots as a `matplotlib.figure.Figure`.

    Args:
        report: See `bland_altman`.
        structures: See `bland_altman`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    colors = colors_by_name(report.structures, structures)
    truth, prediction = report.values("truth_mm3"), report.values("prediction_mm3")
    found = [agreement(*volumes) for volumes in zip(truth.T, prediction.T)]
    figure, panels = _layout(len(found))
    drawn = [np.array([0, SMALLEST_RANGE, -SMALLEST_RANGE, *differences, *limits]) for _, differences, *limits in found]
    low, high = np.nanmin(np.concatenate(drawn)), np.nanmax(np.concatenate(drawn))
    room = ROOM * (high - low)
    for index, (axes, name, (means, differences, *limits)) in enumerate(zip(panels, report.structures, found)):
        unit, scale = volume_unit(means)
        axes.scatter(
            means * scale, differences, s=12, color=[plain(colors[name])], edgecolors=DARK, linewidths=0.3, zorder=3
        )
        left_out = int(((truth[:, index] > 0) ^ (prediction[:, index] > 0)).sum())
        axes.set_title(_title(name, len(means), left_out), fontsize=FONT, color=DARK, loc="left", pad=4)
        _finish(axes, means * scale, unit, (low - room, high + room))
        _draw_limits(axes, limits)
    _write(figure, 1 - HEADING / figure.get_figheight(), "predicted − true volume, as % of their mean", FONT, DARK)
    _write(figure, MARGIN / figure.get_figheight(), KEY, SMALL_FONT, GREY)
    return figure


def agreement(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """Returns means and differences of two volumes, and the bias and limits of agreement of the differences.

    Scans with only one of the two volumes, or none, are left out.

    Args:
        truth: True volumes of one structure, one for each scan.
        prediction: Predicted volumes, in the same unit.

    Returns:
        Means, differences (% of the mean), the mean difference, and the lower and the upper limit of agreement; NaN
        where there are too few scans.

    Example:
        >>> means, differences, bias, low, high = agreement(np.array([90.0, 110.0, 0.0]), np.array([110.0, 90.0, 5.0]))
        >>> means.tolist(), differences.tolist(), bias
        ([100.0, 100.0], [20.0, -20.0], 0.0)
    """
    both = (truth > 0) & (prediction > 0)
    means = (truth[both] + prediction[both]) / 2
    differences = 100 * (prediction[both] - truth[both]) / means
    bias = float(differences.mean()) if differences.size else math.nan
    spread = AGREEMENT * float(differences.std(ddof=1)) if differences.size >= FEWEST else math.nan
    return means, differences, bias, bias - spread, bias + spread


def _title(name, count, left_out):
    longest = WIDTH + RIGHT
    while text_width(name, FONT) > longest:
        name = f"{name.rstrip('…')[:-1]}…"
    return f"{name}\nn = {count}" + (f", {left_out} missed or spurious" if left_out else "")


def _layout(count):
    """Returns an empty figure and its panels, row by row."""
    columns = max(1, min(COLUMNS, count))
    rows = math.ceil(count / columns)
    column, row = LEFT + WIDTH + RIGHT, HEAD + HEIGHT + AXIS
    figure = new_figure(max(MARGIN * 2 + 0.1 + columns * column, 5.6), rows * row + FOOT + HEADING)
    return figure, [
        add_axes(
            figure,
            MARGIN + 0.1 + index % columns * column + LEFT,
            FOOT + (rows - 1 - index // columns) * row + AXIS,
            WIDTH,
            HEIGHT,
        )
        for index in range(count)
    ]


def _finish(axes, means, unit, limits):
    tidy(axes)
    axes.tick_params(labelsize=SMALL_FONT)
    room = 0.1 * max(np.ptp(means), 0.1 * means.max()) if means.size else 0
    axes.set_xlim(*((means.min() - room, means.max() + room) if means.size else (0, 1)))
    axes.set_ylim(*limits)
    axes.locator_params(axis="x", nbins=3)
    axes.locator_params(axis="y", nbins=5)
    axes.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    axes.set_xlabel(f"mean volume ({unit})", fontsize=SMALL_FONT, color=DARK, labelpad=1)
    if not means.size:
        axes.set_xticks([])
        axes.text(
            0.5, 0.6, "in no scan of both", fontsize=SMALL_FONT, color=GREY, ha="center", transform=axes.transAxes
        )


def _draw_limits(axes, limits):
    """Draws bias and limits, with their values at the right, moved apart where they would overlap."""
    known = [(value, style) for value, style in zip(limits, ("-", "--", "--")) if not math.isnan(value)]
    low, high = axes.get_ylim()
    apart = (high - low) * 0.12
    places = _apart([value for value, _ in known], apart)
    for (value, style), place in zip(known, places):
        axes.axhline(value, color=DARK, linewidth=0.9, linestyle=style, zorder=2)
        axes.annotate(
            _signed(value),
            (1, place),
            xytext=(3, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=SMALL_FONT,
            color=DARK,
            va="center",
        )


def _signed(value):
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _write(figure, height, text, size, color):
    """Writes a line at the left, at a height given as a share of the figure's."""
    figure.text(MARGIN / figure.get_figwidth(), height, text, fontsize=size, color=color, va="bottom")


def _apart(values, least):
    """Returns values moved so that neighbours differ by at least `least`; the first stays."""
    if len(values) < 3:
        return values
    bias, low, high = values
    return [bias, min(low, bias - least), max(high, bias + least)]
