"""Predicted volumes against those of the ground truth."""

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

SIDE, LEFT, BOTTOM, TOP, GAP = 4.2, 0.75, 0.6, 0.2, 0.25  # inches
FONT, LINE = 8, 0.2
LEGEND_TITLE = "structure, mean difference of volume, scans"
# Structures of a whole head differ a hundredfold in volume; only a logarithmic scale shows all of them.
LINEAR_RANGE = 20


def volume_scatter(report: Report, path: str | os.PathLike, structures: Sequence[StructureLike] | None = None) -> Path:
    """Writes a scatter plot of predicted against true volumes as PNG, SVG or PDF.

    Each scan and structure is a point; those on the line have equal volumes. The legend shows the mean difference of
    each structure, prediction minus ground truth, as a share of the true volume, and in how many scans. Scales are
    logarithmic if the volumes differ more than twentyfold.
    Structures that were missed or spurious in a scan have no place on a logarithmic scale; their points are on the
    border of the plot.

    Args:
        report: The report.
        path: The file to create or replace. Missing parent folders are created.
        structures: Structures whose colours the points have; None for distinct colours.

    Returns:
        `path` as a `Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        WriteError: If the file cannot be written.
    """
    return save_figure(draw_volume_scatter(report, structures), path)


def draw_volume_scatter(report: Report, structures: Sequence[StructureLike] | None = None) -> Figure:
    """Returns the plot as a `matplotlib.figure.Figure`.

    Args:
        report: See `volume_scatter`.
        structures: See `volume_scatter`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    colors = colors_by_name(report.structures, structures)
    truth, prediction = report.values("truth_mm3"), report.values("prediction_mm3")
    present = (truth > 0) | (prediction > 0)
    unit, scale = volume_unit(truth)
    legend = _legend(report)
    columns = math.ceil((len(legend) + 1) * LINE / SIDE)
    figure, axes = _layout(legend, columns)
    limits, is_logarithmic = _limits(np.concatenate([truth[present], prediction[present]]) * scale)
    for index, name in enumerate(report.structures):
        at = present[:, index]
        places = [np.clip(values[at, index] * scale, *limits) for values in (truth, prediction)]
        marker = "osD^v"[index // 8 % 5]  # a second difference, because there are too many colours
        axes.scatter(
            *places,
            s=16,
            color=[plain(colors[name])],
            marker=marker,
            edgecolors=DARK,
            linewidths=0.3,
            alpha=0.85,
            label=legend[index],
            clip_on=False,
            zorder=3,
        )
    _finish(axes, limits, is_logarithmic, unit)
    axes.legend(
        title=LEGEND_TITLE,
        title_fontsize=FONT,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1 + GAP / SIDE, 1),
        ncols=columns,
        frameon=False,
        fontsize=FONT,
        borderaxespad=0,
        borderpad=0,
        handletextpad=0.2,
        labelspacing=0.45,
    )
    return figure


def _legend(report):
    """Returns a text for each structure: its name, and the mean relative difference of its volumes."""
    differences = report.values("relative_volume_difference")
    texts = []
    for name, of_structure in zip(report.structures, differences.T):
        known = of_structure[~np.isnan(of_structure)]
        change = f"{100 * known.mean():+.1f} %, n = {known.size}".replace("-", "−") if known.size else "in no truth"
        texts.append(f"{name}, {change}")
    return texts


def _layout(legend, columns):
    widest = max(text_width(text, FONT) for text in legend) + 0.45
    title = text_width(LEGEND_TITLE, FONT) + 0.2
    figure = new_figure(LEFT + SIDE + GAP + max(columns * widest, title), BOTTOM + SIDE + TOP)
    return figure, add_axes(figure, LEFT, BOTTOM, SIDE, SIDE)


def _limits(values):
    """Returns the ends of both axes, and whether they are logarithmic."""
    positive = values[values > 0]
    if not positive.size:
        return (0.0, 1.0), False
    if positive.max() > LINEAR_RANGE * positive.min():
        return (positive.min() / 1.5, positive.max() * 1.5), True
    room = 0.1 * max(np.ptp(values), 2 * values.max() / len(values))
    return (max(0.0, values.min() - room), values.max() + room), False


def _finish(axes, limits, is_logarithmic, unit):
    tidy(axes)
    if is_logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.plot(limits, limits, color=GREY, linewidth=0.9, zorder=1)
    axes.grid(True, color=PALE, linewidth=0.7)
    axes.set_xlabel(f"true volume ({unit})", fontsize=9, color=DARK)
    axes.set_ylabel(f"predicted volume ({unit})", fontsize=9, color=DARK)
