"""Figures of the gates of recalibration blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from recalib_keras.evaluation.figures.canvas import DARK, GREY, add_axes, new_figure, save_figure, text_width, tidy
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
from recalib_keras.evaluation.structures import StructureLike
from recalib_keras.volumes import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIEWS_WIDTH, SMALLEST_WIDTH, BARS = 5.6, 3.4, 1.1  # inches
MARGIN, GAP, HEAD, AXIS, SCALE, SCALE_WIDTH = 0.15, 0.08, 0.26, 0.35, 0.75, 0.1
CAPTION = 0.18
FONT, SMALL_FONT = 8, 7
LARGEST_SINGLE = 3.0  # inches, of the only view of a 2-D network
COLORMAP, BAR_COLOR = "viridis", "#0072b2"
OUTLINE = 0.8  # points
TITLE = "what the network saw"


class GatesLike(Protocol):
    """What the figure needs of the gates of a block; `recalib_keras.inference.gates.BlockGates` has it."""

    @property
    def layer(self) -> str:
        """Name of the block in the network."""

    @property
    def block(self) -> str:
        """Name of the block's class."""

    @property
    def spatial(self) -> Volume | None:
        """Gates by position, on the image's grid; None if the block has none."""

    @property
    def channels(self) -> np.ndarray | None:
        """Gates by channel; None if the block has none."""


def gate_figure(
    image: Volume,
    blocks: Sequence[GatesLike],
    path: str | os.PathLike,
    labels: Volume | None = None,
    structures: Sequence[StructureLike] = (),
    title: str = TITLE,
) -> Path:
    """Writes a figure of what a network saw, and of the gates of its blocks, as PNG, SVG or PDF by the file's suffix.

    Each block has a map of its gates in the slices of the image, on a scale of its own, and its gates by channel as
    bars. The slices go through the centre of mass of the structures. A 2-D network sees a single slice; then only that
    one is shown.

    Args:
        image: What the network saw.
        blocks: The gates of each block.
        path: The file to create or replace. Missing parent folders are created.
        labels: Label map on the image's grid, whose structures are outlined; None for no outlines.
        structures: The structures to outline.
        title: Title of the image.

    Returns:
        `path` as a `Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        WriteError: If the file cannot be written.

    Reference:
        Roy et al., IEEE TMI 2019, figure 7, shows such maps over the epochs of a training.
    """
    return save_figure(draw_gates(image, blocks, labels, structures, title), path)


def draw_gates(
    image: Volume,
    blocks: Sequence[GatesLike],
    labels: Volume | None = None,
    structures: Sequence[StructureLike] = (),
    title: str = TITLE,
) -> Figure:
    """Returns the figure as a `matplotlib.figure.Figure`.

    Args:
        image: See `gate_figure`.
        blocks: See `gate_figure`.
        labels: See `gate_figure`.
        structures: See `gate_figure`.
        title: See `gate_figure`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    image = image.conform("RAS")
    mapped = None if labels is None else labels.conform("RAS", order=0)
    ids = [structure.id for structure in structures]
    centre = centre_of(np.zeros(image.array.shape, bool) if mapped is None else np.isin(mapped.array, ids))
    flat = [axis for axis, size in enumerate(image.array.shape) if size == 1]
    views = [view for view in VIEWS if not flat or view.axis == flat[0]]
    structures = as_shown(structures)
    strips: list[tuple[str, str, Any]] = [("image", title, image)]
    for block in blocks:
        name = block.layer.removesuffix("_recalibration").replace("_", " ")
        if block.spatial is not None:
            strips.append(("map", f"{name}: gates by position ({block.block})", block.spatial.conform("RAS")))
        if block.channels is not None:
            strips.append(("bars", f"{name}: gates by channel ({block.block})", block.channels))
    sizes = np.array(image.grid.shape) * image.grid.spacing
    layout = _Layout(sizes, views, strips)
    for (kind, title, content), top in zip(strips, layout.tops):
        layout.write(title, top)
        if kind == "bars":
            _draw_bars(layout.bars(top), content)
            continue
        planes = [np.take(content.array, centre[view.axis], view.axis) for view in views]
        limits = grey_limits(planes) if kind == "image" else grey_limits(planes, headroom=0.0)
        for axes, view, plane in zip(layout.panels(top), views, planes):
            shown = show_slice(axes, view, plane, sizes, limits, "gray" if kind == "image" else COLORMAP)
            if mapped is not None:
                cut = np.take(mapped.array, centre[view.axis], view.axis)
                steps = np.take(image.grid.spacing, view.shown)
                show_structures(axes, cut, structures, steps, OUTLINE, opacity=0)
            if kind == "image":
                letter_ends(axes, view)
                layout.caption(axes, position(view, place_of(view, centre[view.axis], image.grid)))
                if view is views[0]:
                    add_scale_bar([axes])
        if kind == "map":
            _draw_scale(layout.scale(top), shown)
    return layout.figure


class _Layout:
    """An empty figure and the places of its strips (inches)."""

    def __init__(self, sizes, views, strips):
        panels = np.array([[sizes[axis] for axis in view.shown] for view in views])
        room = VIEWS_WIDTH - (len(views) - 1) * GAP
        scale = room / panels[:, 0].sum() if len(views) > 1 else LARGEST_SINGLE / panels.max()
        self.widths, self.heights = (panels * scale).T
        self.content = max(SMALLEST_WIDTH, self.widths.sum() + (len(views) - 1) * GAP)
        scale_width = SCALE if any(kind == "map" for kind, _, _ in strips) else 0
        under = {"bars": BARS + AXIS, "image": self.heights.max() + CAPTION, "map": self.heights.max()}
        tall = [HEAD + under[kind] for kind, _, _ in strips]
        width = (
            max(self.content + scale_width, *(text_width(title, FONT, "bold") for _, title, _ in strips)) + 2 * MARGIN
        )
        self.figure = new_figure(width, sum(tall) + len(tall) * GAP + MARGIN)
        self.tops = self.figure.get_figheight() - np.cumsum([0, *tall[:-1]]) - GAP * np.arange(len(tall))

    def write(self, title, top):
        width, height = self.figure.get_size_inches()
        self.figure.text(
            MARGIN / width, (top - HEAD + 0.06) / height, title, fontsize=FONT, color=DARK, va="bottom", weight="bold"
        )

    def caption(self, axes, text):
        """Writes where a slice lies below it."""
        axes.annotate(
            text,
            (0.5, 0),
            xytext=(0, -3),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=SMALL_FONT,
            color=DARK,
        )

    def panels(self, top):
        """Returns axes for the views, each to scale."""
        lefts = MARGIN + np.concatenate([[0], np.cumsum(self.widths[:-1] + GAP)])
        return [
            add_axes(self.figure, left, top - HEAD - tall, wide, tall)
            for left, wide, tall in zip(lefts, self.widths, self.heights)
        ]

    def scale(self, top):
        left = MARGIN + self.widths.sum() + len(self.widths) * GAP
        return add_axes(self.figure, left, top - HEAD - self.heights.max(), SCALE_WIDTH, self.heights.max())

    def bars(self, top):
        return add_axes(self.figure, MARGIN + AXIS, top - HEAD - BARS, self.content - AXIS, BARS)


def _draw_bars(axes, gates):
    tidy(axes)
    axes.bar(np.arange(1, len(gates) + 1), gates, width=0.8, color=BAR_COLOR)
    axes.set_xlim(0.4, len(gates) + 0.6)
    axes.set_ylim(0, max(1, float(np.max(gates))))  # the gates of blocks that start as the identity reach 2
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=SMALL_FONT)
    axes.set_xlabel("channel", fontsize=SMALL_FONT, color=DARK, labelpad=1)
    axes.set_ylabel("gate", fontsize=SMALL_FONT, color=DARK, labelpad=1)


def _draw_scale(axes, shown):
    axes.figure.colorbar(shown, cax=axes)
    axes.set_ylabel("gate (no unit)", fontsize=SMALL_FONT, color=DARK, labelpad=3)
    axes.tick_params(labelsize=SMALL_FONT, color=GREY, labelcolor=DARK)
    axes.spines[:].set_visible(False)
