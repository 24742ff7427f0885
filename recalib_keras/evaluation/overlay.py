"""A picture of a scan and of the structures found in it."""

from typing import NamedTuple

import numpy as np

from recalib_keras.volumes import Volume, atomic_write

DOTS_PER_INCH = 120
# The panels of one row share this width, the two rows this height (inches), whichever binds first.
LARGEST_WIDTH, LARGEST_HEIGHT = 9.0, 12.0
SMALLEST_WIDTH = 4.5  # of the picture, so that the legend has room
GAP, TITLE, LINE, LETTER = 0.25, 0.3, 0.22, 0.12  # inches
# A few bright vessels, or metal in a CT, must not darken the rest.
GREY_PERCENTILES = (0.5, 99.5)
FILL_OPACITY = 0.35
LEGEND_COLUMNS, LEGEND_ENTRIES = 3, 24
CONVENTION = "neurological convention: the patient's left (L) is on the left"


class View(NamedTuple):
    """One of the three ways to cut an RAS array: the axis cut, those shown, and the letters of their ends."""

    name: str
    coordinate: str
    axis: int
    shown: tuple[int, int]
    ends: tuple[str, str, str, str]


VIEWS = (
    View("sagittal", "x", 0, (1, 2), ("P", "A", "I", "S")),
    View("coronal", "y", 1, (0, 2), ("L", "R", "I", "S")),
    View("axial", "z", 2, (0, 1), ("L", "R", "P", "A")),
)


def overlay(scan, labels, structures, path):
    """Writes a picture of a scan and of the structures found in it as a PNG file.

    A sagittal, a coronal and an axial slice through the structures' centre of mass, above as they are, below with the
    structures in translucent colour and outlined. Millimetres are equally long in all panels, and the patient's left is
    on the left (neurological convention) however the scan is stored. Without any structure the slices go through the
    centre of the scan.

    Args:
        scan: `recalib_keras.volumes.Volume`.
        labels: integer array of label numbers, on the scan's grid.
        structures: sequence of things with an `id`, a `name` and a `color` (RGB, 0 to 255).
        path: the file to write, wholly or not at all. Missing parent folders are made.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        ImportError: matplotlib is not installed.
        VolumeError: `labels` has not the scan's shape, or the file cannot be written.
    """
    figure = draw(scan, labels, structures)
    return atomic_write(path, lambda temporary: figure.savefig(temporary, format="png"))


def draw(scan, labels, structures):
    """Returns the picture as a `matplotlib.figure.Figure`; arguments and errors are those of `overlay`."""
    _import_matplotlib()
    image = scan.conform("RAS")
    mapped = Volume(np.asarray(labels), scan.grid).conform("RAS", order=0).array
    present = set(np.unique(mapped).tolist())
    found = [structure for structure in structures if structure.id in present]
    centre = _centre(np.isin(mapped, [structure.id for structure in found]))
    sizes = np.array(image.grid.shape) * image.grid.spacing
    legend = _legend(found)
    figure, panels = _layout(sizes, -(-len(legend) // LEGEND_COLUMNS))
    limits = _grey_limits(image.array, centre)
    places = (image.grid.affine @ [*centre, 1])[:3]
    for view, above, below in zip(VIEWS, *panels):
        at = centre[view.axis], view.axis
        above.set_title(f"{view.name}, {view.coordinate} = {places[view.axis]:.0f} mm", color="white", fontsize=9)
        for axes in (above, below):
            _show_slice(axes, view, np.take(image.array, *at), sizes, limits)
        _show_structures(below, np.take(mapped, *at), found, np.take(image.grid.spacing, view.shown))
    _add_legend(figure, legend)
    return figure


def _import_matplotlib():
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            'drawing pictures needs matplotlib, which is not installed; run: pip install "recalib-keras[figures]"'
        ) from error
    return matplotlib


def _centre(mask):
    """Returns the voxel at the centre of mass; along each axis the nearest one whose slice cuts a structure."""
    if not mask.any():
        return [size // 2 for size in mask.shape]
    centre = []
    for axis in range(3):
        area = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        occupied = np.flatnonzero(area)
        # Of two kidneys, say, the centre of mass lies in the spine.
        mean = area @ np.arange(area.size) / area.sum()
        centre.append(int(occupied[np.abs(occupied - mean).argmin()]))
    return centre


def _grey_limits(array, centre):
    shown = np.concatenate([np.take(array, centre[view.axis], view.axis).ravel() for view in VIEWS])
    low, high = np.percentile(shown, GREY_PERCENTILES)
    return (low, high) if low < high else (shown.min(), shown.max())


def _layout(sizes, legend_lines):
    """Returns an empty figure and its axes, two rows of three; a millimetre is equally long in all of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = np.array([[sizes[axis] for axis in view.shown] for view in VIEWS])
    scale = min(LARGEST_WIDTH / panels[:, 0].sum(), LARGEST_HEIGHT / 2 / panels[:, 1].max())
    panels = panels * scale
    row = panels[:, 1].max()
    content = panels[:, 0].sum() + (len(VIEWS) - 1) * GAP
    width = max(SMALLEST_WIDTH, content + 2 * GAP)
    bottom = LINE * (legend_lines + 1) + GAP / 2
    height = bottom + 2 * row + GAP + TITLE
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="black")
    FigureCanvasAgg(figure)
    lefts = (width - content) / 2 + np.concatenate([[0], np.cumsum(panels[:-1, 0] + GAP)])
    rows = [
        [
            figure.add_axes((left / width, (base + (row - tall) / 2) / height, wide / width, tall / height))
            for left, (wide, tall) in zip(lefts, panels)
        ]
        for base in (bottom + row + GAP, bottom)
    ]
    return figure, rows


def _show_slice(axes, view, plane, sizes, limits):
    """Shows a slice in millimetres, its borders named by where they lie in the patient."""
    width, height = (sizes[axis] for axis in view.shown)
    axes.imshow(
        plane.T,
        cmap="gray",
        vmin=limits[0],
        vmax=limits[1],
        origin="lower",
        extent=(0, width, 0, height),
        aspect="auto",  # the layout has made the panel's sides as long as they must be
        interpolation="bilinear",
    )
    axes.set_axis_off()
    _letter_ends(axes, view)


def _letter_ends(axes, view):
    from matplotlib.patheffects import withStroke

    left, right, low, high = view.ends
    extent = axes.get_position().size * axes.figure.get_size_inches()
    for letter, x, y in ((left, 0, 0.5), (right, 1, 0.5), (low, 0.5, 0), (high, 0.5, 1)):
        if extent[1 if x == 0.5 else 0] < 4 * LETTER:  # both letters would stand on one another
            continue
        axes.annotate(
            letter,
            (x, y),
            xytext=((0.5 - x) * 2 * LETTER * 72, (0.5 - y) * 2 * LETTER * 72),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="center",
            color="white",
            fontsize=9,
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )


def _show_structures(axes, plane, structures, spacing):
    """Fills and outlines each structure that the slice cuts."""
    for structure in structures:
        mask = plane == structure.id
        if not mask.any():
            continue
        color = [channel / 255 for channel in structure.color]
        x, y, values = _framed(mask, spacing)
        axes.contourf(x, y, values.T, levels=[0.5, 1.5], colors=[color], alpha=FILL_OPACITY)
        axes.contour(x, y, values.T, levels=[0.5], colors=[color], linewidths=1.2)


def _framed(mask, spacing):
    """Returns where the voxels of a mask lie (mm), and the mask, cut to its bounding box and framed by zeros."""
    boxes = [np.flatnonzero(mask.any(axis=other)) for other in (1, 0)]
    start, stop = np.array([[places[0], places[-1] + 1] for places in boxes]).T
    values = np.pad(mask[start[0] : stop[0], start[1] : stop[1]].astype("float32"), 1)
    x, y = ((first - 0.5 + np.arange(size)) * step for first, size, step in zip(start, values.shape, spacing))
    return x, y, values


def _legend(structures):
    """Returns names and colours for the legend; of too many structures the first, and how many are left out."""
    entries = [(structure.name, [channel / 255 for channel in structure.color]) for structure in structures]
    if len(entries) > LEGEND_ENTRIES:
        left_out = len(entries) - LEGEND_ENTRIES + 1
        entries[LEGEND_ENTRIES - 1 :] = [(f"and {left_out} more", "none")]
    return entries or [("no structure found", "none")]


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
