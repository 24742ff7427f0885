"""A picture of training examples, as they are and as augmentation changes them."""

import math

import numpy as np

from recalib_keras.evaluation.figures.canvas import (
    add_axes,
    import_matplotlib,
    new_figure,
    plain,
    save_figure,
    text_width,
)
from recalib_keras.evaluation.figures.overlay import CONVENTION
from recalib_keras.evaluation.figures.slices import grey_limits, letter_ends, show_slice
from recalib_keras.training.data.examples import read_scan
from recalib_keras.training.data.preview import make_samples, view_of, voxel_size
from recalib_keras.training.data.split import find_split

DOTS_PER_INCH = 120
# Inches: the longer side of a panel, what is between panels, the margin with titles and names, a line of text.
PANEL, GAP, MARGIN, LINE = 1.5, 0.05, 0.25, 0.2
SMALLEST_WIDTH = 4.5  # inches, so that the convention has room
FONT = 8
LONGEST_NAME = 24  # letters, which fit beside a panel


def sample_sheet(recipe, data_root, path, scans=4, samples=8, seed=None, view=None):
    """Writes a picture of training examples as a PNG file: a row for each scan, the first panel as it is.

    Each row shows one window around a random voxel of the scan's foreground, and what a training could make of it, in
    the slice in which the window has most foreground. Structures are outlined in their colours. All panels of a row
    have the grey scale of the first.

    Args:
        recipe: `Recipe`.
        data_root: path that the recipe's data folder is relative to.
        path: the file to write, wholly or not at all. Missing parent folders are made.
        scans: how many of the training scans to show, spread evenly over them.
        samples: how many changed examples of each.
        seed: of everything random; None for the recipe's.
        view: `"sagittal"`, `"coronal"` or `"axial"`; None for axial, or the slices that a 2-D network sees.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: `scans` or `samples` is less than 1, there is no such view or it is not that of a 2-D network, or
            there is no scan to train on.
    """
    import_matplotlib()  # missing, it should be told before the scans are read
    if min(scans, samples) < 1:
        raise ValueError(f"expected at least 1 scan and 1 sample, got {scans} and {samples}")
    if recipe.synthesis is not None:
        raise ValueError("expected a recipe whose scans are augmented; generated ones are drawn by recalib synthesize")
    view = view_of(recipe.input, view)
    training, _ = find_split(recipe, data_root)
    if not training:
        raise ValueError(f"expected scans to train on beside every {recipe.data.validate_every}. held out; found none")
    seed = recipe.seed if seed is None else seed
    rows = []
    for place in np.linspace(0, len(training), min(scans, len(training)), endpoint=False, dtype=int):
        scan = read_scan(training[place], recipe.input, recipe.labels)
        rows.append(make_samples(scan, recipe, view, samples, np.random.default_rng([seed, place])))
    return save_figure(draw(rows, recipe, view), path)


def draw(rows, recipe, view):
    """Returns the picture as a `matplotlib.figure.Figure`.

    Args:
        rows: list of `Samples`.
        recipe: `Recipe`, for the labels and the spacing.
        view: the `View` that the samples are cut in.
    """
    spacing = voxel_size(recipe.input)[list(view.shown)]
    present = set(np.unique([row.labels for row in rows]).tolist())
    structures = [label for label in recipe.labels[1:] if label.id in present]
    sides = np.array(rows[0].images.shape[1:]) * spacing
    figure, panels = _layout(len(rows), len(rows[0].images), sides, structures)
    for row, line in zip(rows, panels):
        limits = grey_limits(row.images[:1])
        for axes, image, labels in zip(line, row.images, row.labels):
            show_slice(axes, view, image, np.insert(sides, view.axis, 0), limits)
            _outline(axes, labels, structures, spacing)
        _write_name(line[0], row.name)
    for number, axes in enumerate(panels[0]):
        axes.set_title(number or "as it is", color="white", fontsize=FONT, pad=3)
    letter_ends(panels[0][0], view)
    return figure


def _layout(rows, columns, sides, structures):
    """Returns a figure with its legend, and its rows of empty axes whose sides are to each other as `sides` (mm)."""
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


def _outline(axes, labels, structures, spacing):
    axes.set_autoscale_on(False)  # an outline at the border must not move it
    for structure in structures:
        mask = np.pad(labels == structure.id, 1)
        if mask.any():
            x, y = ((np.arange(size) - 0.5) * step for size, step in zip(mask.shape, spacing))
            axes.contour(x, y, mask.T, levels=[0.5], colors=[plain(structure.color)], linewidths=1)


def _write_name(axes, name):
    """Writes a scan's name along the left side of its first panel; of too long a name the end."""
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
