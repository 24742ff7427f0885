"""A preview: a picture of scans generated from label maps, and of their structures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from recalib_keras.evaluation.figures.canvas import add_axes, format_of, import_matplotlib, new_figure, save_figure
from recalib_keras.evaluation.figures.overlay import CONVENTION
from recalib_keras.evaluation.figures.slices import (
    VIEWS,
    add_scale_bar,
    centre_of,
    grey_limits,
    letter_ends,
    show_slice,
    show_structures,
)
from recalib_keras.evaluation.figures.structure_colors import as_shown
from recalib_keras.synthesis.examples import GeneratedExamples
from recalib_keras.synthesis.geometry import HEAD
from recalib_keras.synthesis.label_maps import LabelMaps
from recalib_keras.synthesis.label_table import FILE_NAME, LabelTable
from recalib_keras.synthesis.random_scan import RandomScan
from recalib_keras.synthesis.settings import VARIED, Synthesis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from recalib_keras.zoo import Label

LARGEST_SPACING = 20.0  # mm; with larger voxels a head has fewer than ten along an axis
DOTS_PER_INCH = 120
# Inches: the tallest panel, the gap between panels, the line of text at the bottom.
PANEL, GAP, FOOT = 1.7, 0.04, 0.25
ORDER = ("axial", "coronal", "sagittal")


def preview(
    label_maps: Sequence[str | os.PathLike],
    path: str | os.PathLike,
    settings: Synthesis = VARIED,
    table: str | os.PathLike | None = None,
    samples: int = 6,
    seed: int = 0,
    spacing: float = 2.0,
) -> Path:
    """Writes a picture of scans generated from label maps of whole heads as PNG, SVG or PDF, with a row for each scan.

    Args:
        label_maps: Files, or folders of them.
        path: The file to write, which ends in .png, .svg or .pdf. Missing parent folders are created.
        settings: How far the scans vary.
        table: File of the `LabelTable`, or None for the `generation.json` beside the first label map.
        samples: Number of scans.
        seed: Seed of everything random.
        spacing: Voxel size of the scans in mm, up to 20.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `samples` or `spacing` is out of range, or there is no table.
        RecordError: If the table is invalid.
        VolumeError: If a label map cannot be used.
        WriteError: If the file cannot be written.
    """
    if samples < 1 or not 0 < spacing <= LARGEST_SPACING:
        raise ValueError(
            f"expected at least 1 sample and voxels of up to {LARGEST_SPACING:g} mm, got {samples} and {spacing:g} mm"
        )
    import_matplotlib()  # before the maps are read, so that it is reported at once if it is missing
    format_of(path)
    labels = LabelTable.read(_beside(label_maps[0]) if table is None else table)
    maps = LabelMaps.read(label_maps, labels)
    window = [max(1, round(size / spacing)) for size in HEAD]
    random_scan = RandomScan(labels, window, settings, spacing, maps.spacing)
    examples = GeneratedExamples(maps, random_scan, samples, seed=seed)
    images, classes = zip(*(map(ops.convert_to_numpy, examples[step]) for step in range(samples)))
    spacings = random_scan.frame.spacing
    return save_figure(draw(np.concatenate(images), np.concatenate(classes), labels.structures, spacings), path)


def draw(images: np.ndarray, classes: np.ndarray, structures: Sequence[Label], spacing: Sequence[float]) -> Figure:
    """Returns a figure of scans: for each a row of three slices as they are, and again with outlines.

    Slices go through the middle of the structures; the patient's left is on the left.

    Args:
        images: `(batch, X, Y, Z, 1)`, axes along RAS.
        classes: Integers of the same shape, index into `structures`; 0 is the background.
        structures: Number and colour of each class.
        spacing: Three voxel sizes in mm.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    import_matplotlib()
    numbers, shown = np.array([structure.id for structure in structures]), as_shown(structures[1:])
    steps = np.array(spacing, dtype="float64")
    sizes = np.array(images.shape[1:4]) * steps
    figure, rows = _layout(sizes, len(images))
    for row, image, of_voxels in zip(rows, np.asarray(images)[..., 0], np.asarray(classes)[..., 0]):
        centre = centre_of(of_voxels != 0)
        views = sorted(VIEWS, key=lambda view: ORDER.index(view.name))
        limits = grey_limits([np.take(image, centre[view.axis], view.axis) for view in views])
        for plain, outlined, view in zip(row, row[len(views) :], views):
            for axes in (plain, outlined):
                show_slice(axes, view, np.take(image, centre[view.axis], view.axis), sizes, limits)
            labels = numbers[np.take(of_voxels, centre[view.axis], view.axis)]
            show_structures(outlined, labels, shown, steps[list(view.shown)], linewidth=0.6, opacity=0)
            if row is rows[0]:
                letter_ends(plain, view)
    add_scale_bar(rows[0])
    return figure


def _beside(label_maps):
    """Returns the path of the table beside a label map, or in a folder of them."""
    label_maps = Path(label_maps)
    path = (label_maps if label_maps.is_dir() else label_maps.parent) / FILE_NAME
    if not path.is_file():
        raise ValueError(
            f"expected the table of the label maps in {path}, got no such file; name it with --table "
            "(recalib_keras.synthesis.LabelTable describes it)"
        )
    return path


def _layout(sizes, count):
    """Returns an empty figure and its rows of six axes, in which a millimetre has the same length."""
    views = sorted(VIEWS, key=lambda view: ORDER.index(view.name)) * 2
    panels = np.array([[sizes[axis] for axis in view.shown] for view in views])
    panels = panels * PANEL / panels[:, 1].max()
    height = FOOT + count * (PANEL + GAP)
    figure = new_figure(panels[:, 0].sum() + GAP * (len(panels) - 1), height, DOTS_PER_INCH, "black")
    figure.text(0.5, FOOT / 3 / height, CONVENTION, color="lightgray", fontsize=7, ha="center", va="bottom")
    lefts = np.concatenate([[0], np.cumsum(panels[:-1, 0] + GAP)])
    rows = [
        [add_axes(figure, left, bottom + (PANEL - tall) / 2, wide, tall) for left, (wide, tall) in zip(lefts, panels)]
        for bottom in FOOT + np.arange(count)[::-1] * (PANEL + GAP)
    ]
    return figure, rows
