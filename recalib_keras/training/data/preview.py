"""A preview of augmentation: a picture of training examples, as they are and changed."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import nibabel as nib
import numpy as np
from keras import ops

from recalib_keras.evaluation.figures.canvas import (
    add_axes,
    format_of,
    import_matplotlib,
    new_figure,
    plain,
    save_figure,
    text_width,
)
from recalib_keras.evaluation.figures.overlay import CONVENTION
from recalib_keras.evaluation.figures.slices import (
    VIEWS,
    View,
    add_scale_bar,
    grey_limits,
    letter_ends,
    show_slice,
    show_structures,
)
from recalib_keras.evaluation.figures.structure_colors import as_shown
from recalib_keras.training.data import augmentation
from recalib_keras.training.data.examples import (
    Scan,
    as_examples,
    draw_change,
    mirror_of,
    random_window,
    read_scan,
    window_spacing,
)
from recalib_keras.training.data.split import find_split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from recalib_keras.training.recipe import Recipe
    from recalib_keras.zoo import Input

DOTS_PER_INCH = 120
# Inches: the longer side of a panel, the gap between panels, the margin with titles and names, a line of text.
PANEL, GAP, MARGIN, LINE = 1.5, 0.05, 0.25, 0.2
SMALLEST_WIDTH = 4.5  # inches, so that the line about the convention fits
FONT = 8
LONGEST_NAME = 24  # letters, which fit beside a panel


class Samples(NamedTuple):
    """Slices of one window of a scan, the first as it is, the others changed.

    Args:
        name: Of the scan.
        images: `(1 + count, width, height)`, growing to the right or front, and up, as they are shown.
        labels: Of the same shape; label numbers.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray


def preview(
    recipe: Recipe,
    data_root: Path,
    path: str | os.PathLike,
    scans: int = 4,
    samples: int = 8,
    seed: int | None = None,
    view: str | None = None,
) -> Path:
    """Writes a picture of training examples as PNG, SVG or PDF: a row for each scan, its first panel unchanged.

    A scan of several channels has a row for each of them.

    Each row shows one window around a random foreground voxel of the scan, and random changes of it, in the slice in
    which the window has most foreground. Structures are outlined in their colours. All panels of a row have the grey
    scale of the first.

    Args:
        recipe: The recipe whose examples to draw.
        data_root: Path that the recipe's data folder is relative to.
        path: The file to write, which ends in .png, .svg or .pdf. Missing parent folders are created.
        scans: How many of the training scans to show, spread evenly over them.
        samples: How many changed examples of each.
        seed: Seed of everything random; None for the recipe's.
        view: `"sagittal"`, `"coronal"` or `"axial"`; None for axial, or for the slices that a 2-D network sees.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `scans` or `samples` is less than 1, `view` is unknown or not that of a 2-D network, the recipe
            generates its scans, or there is no training scan.
        DatasetError: If a scan cannot be used.
        WriteError: If the file cannot be written.
    """
    import_matplotlib()  # before the scans are read, so that it is reported at once if it is missing
    format_of(path)
    if min(scans, samples) < 1:
        raise ValueError(f"expected at least 1 scan and 1 sample, got {scans} and {samples}")
    if recipe.is_synthetic:
        raise ValueError(
            "expected a recipe whose scans are augmented, got one that generates them; draw those with recalib "
            "synthesize"
        )
    if recipe.mixture is not None:
        warnings.warn(
            f"of this recipe's examples, {recipe.mixture.share:.0%} are generated; they are not shown here, draw them "
            "with recalib synthesize",
            stacklevel=2,
        )
    shown = view_of(recipe.input, view)
    training, _ = find_split(recipe, data_root)
    if not training:
        raise ValueError(
            f"expected training scans, got none: every {recipe.data.validate_every}. scan is a validation scan; see "
            "data.validate_every and data.held_out"
        )
    seed = recipe.seed if seed is None else seed
    rows = []
    for place in np.linspace(0, len(training), min(scans, len(training)), endpoint=False, dtype=int):
        scan = read_scan(training[place], recipe.input, recipe.labels)
        for channel in range(recipe.input.num_channels):  # the same window and the same changes for each
            rng = np.random.default_rng([seed, place])
            rows.append(make_samples(scan, recipe, shown, samples, rng, channel))
    return save_figure(draw(rows, recipe, shown), path)


def make_samples(
    scan: Scan, recipe: Recipe, view: View, count: int, rng: np.random.Generator, channel: int = 0
) -> Samples:
    """Returns `Samples` of a window around a random foreground voxel, in the slice with most foreground.

    Args:
        scan: The scan.
        recipe: Its augmentation decides the changes.
        view: The slices to show; for a 2-D network that of its slices.
        count: How many changed samples.
        rng: Source of the random numbers.
        channel: Which channel to show, from 0.
    """
    image, of_voxels = random_window(scan, recipe.input, 1.0, rng)
    mirror = mirror_of(recipe, has_unknown=scan.known is not None)
    spacings = [window_spacing(scan, recipe.input)] * count
    change = draw_change(recipe, count, rng, mirror, spacings)
    copies, of_copies = (np.repeat(array[None], count, axis=0) for array in (image, of_voxels))
    changed, of_changed = (ops.convert_to_numpy(x) for x in augmentation.apply(copies, of_copies, change))
    images, classes = np.stack([image, *changed]), np.stack([of_voxels, *of_changed])
    images, classes = as_examples(images, classes, recipe.input)
    images = _turned(images[..., channel * recipe.input.depth + recipe.input.context], recipe.input)
    classes = _turned(classes[..., 0], recipe.input)
    others = tuple(axis for axis in range(3) if axis != view.axis)
    place = (classes[0] > 0).sum(axis=others).argmax() if (classes[0] > 0).any() else images.shape[1 + view.axis] // 2
    numbers = np.array([*(label.id for label in recipe.labels), recipe.labels[0].id])[classes]  # the last: unknown
    name = scan.name if recipe.input.channels is None else f"{scan.name} {recipe.input.channels[channel]}"
    return Samples(name, images.take(place, 1 + view.axis), numbers.take(place, 1 + view.axis))


def view_of(expects: Input, name: str | None = None) -> View:
    """Returns the view in which a network's windows are shown.

    Args:
        expects: The network's input.
        name: `"sagittal"`, `"coronal"` or `"axial"`; None for axial, or for the slices that a 2-D network sees.

    Raises:
        ValueError: If there is no such view, or a 2-D network sees other slices.
    """
    views = {view.name: view for view in VIEWS}
    if expects.slice_axis is not None:
        seen = VIEWS[int(_turn(expects)[expects.slice_axis, 0])].name
        if name not in (None, seen):
            raise ValueError(f"expected the view {seen!r}, as the recipe's network sees {seen} slices, got {name!r}")
        name = seen
    name = "axial" if name is None else name
    if name not in views:
        raise ValueError(f"expected a view of {', '.join(views)}, got {name!r}")
    return views[name]


def voxel_size(expects: Input) -> np.ndarray:
    """Returns the spacing (mm) along x, y and z; ones if the network takes scans in their own spacing."""
    spacing = np.ones(3)
    if expects.spacing is not None:
        spacing[_turn(expects)[:, 0].astype(int)] = expects.spacing
    return spacing


def draw(rows: Sequence[Samples], recipe: Recipe, view: View) -> Figure:
    """Returns the picture.

    Args:
        rows: What to show in each row.
        recipe: For labels and spacing.
        view: The view that the samples are cut in.
    """
    spacing = voxel_size(recipe.input)[list(view.shown)]
    present = set(np.unique([row.labels for row in rows]).tolist())
    structures = [structure for structure in as_shown(recipe.labels[1:]) if structure.id in present]
    sides = np.array(rows[0].images.shape[1:]) * spacing
    figure, panels = _layout(len(rows), len(rows[0].images), sides, structures)
    for row, line in zip(rows, panels):
        limits = grey_limits([row.images[0]])
        for axes, image, labels in zip(line, row.images, row.labels):
            show_slice(axes, view, image, np.insert(sides, view.axis, 0), limits)
            show_structures(axes, labels, structures, spacing, linewidth=1.0, opacity=0)
        _write_name(line[0], row.name)
    for number, axes in enumerate(panels[0]):
        axes.set_title(number or "as it is", color="white", fontsize=FONT, pad=3)
    letter_ends(panels[0][0], view)
    add_scale_bar(panels[0][:1])
    return figure


def _layout(rows, columns, sides, structures):
    """Returns a figure with its legend and its rows of empty axes, in the proportions of `sides` (mm)."""
    wide, tall = PANEL * sides / sides.max()
    content = MARGIN + columns * (wide + GAP)
    width = max(SMALLEST_WIDTH, content + GAP)
    entry = max([text_width(structure.name, FONT) + 0.6 for structure in structures], default=width)
    legend_columns = min(max(1, int(width / entry)), max(1, len(structures)))
    bottom = LINE * (2 + math.ceil(len(structures) / legend_columns))
    figure = new_figure(width, bottom + rows * (tall + GAP) + MARGIN, DOTS_PER_INCH, "black")
    _add_legend(figure, structures, legend_columns)
    left = (width - content) / 2 + MARGIN
    panels = [
        [add_axes(figure, left + x * (wide + GAP), bottom + y * (tall + GAP), wide, tall) for x in range(columns)]
        for y in reversed(range(rows))
    ]
    return figure, panels


def _write_name(axes, name):
    """Writes a scan's name along the left side of its first panel; of a long name only the end."""
    name = name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"
    place = axes.transAxes
    axes.text(-0.04, 0.5, name, transform=place, color="white", fontsize=7, rotation=90, ha="right", va="center")


def _add_legend(figure, structures, columns):
    from matplotlib.patches import Patch

    height = figure.get_figheight()
    figure.text(0.5, LINE / 2 / height, CONVENTION, color="lightgray", fontsize=7, ha="center", va="bottom")
    figure.legend(
        handles=[Patch(color=plain(structure.color), label=structure.name) for structure in structures],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.4 * LINE / height),
        ncols=columns,
        frameon=False,
        labelcolor="white",
        fontsize=FONT,
        borderaxespad=0,
        borderpad=0,
    )


def _turned(windows, expects):
    """Returns windows `(count, *window)` as `(count, X, Y, Z)`, axes growing to the right, the front and up."""
    if expects.slice_axis is not None:
        windows = np.expand_dims(windows, 1 + expects.slice_axis)
    return np.moveaxis(nib.orientations.apply_orientation(np.moveaxis(windows, 0, -1), _turn(expects)), -1, 0)


def _turn(expects):
    letters = nib.orientations.axcodes2ornt
    return nib.orientations.ornt_transform(letters(tuple(expects.orientation)), letters(tuple("RAS")))
