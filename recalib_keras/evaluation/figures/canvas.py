"""What all figures share: matplotlib without pyplot, one style, and files written atomically."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from recalib_keras.core.errors import missing_package
from recalib_keras.core.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 200  # enough for print at the sizes drawn
FORMATS = ("png", "svg", "pdf")
# Texts of an SVG or PDF stay texts: they can be searched and edited. Files of equal figures are equal.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "recalib", "pdf.fonttype": 42}
UNDATED = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
MILLILITRES_FROM = 20_000  # mm³
DARK, GREY, PALE = "#222222", "#777777", "#dddddd"


def import_matplotlib(extra: str = "figures") -> ModuleType:
    """Returns matplotlib.

    Args:
        extra: The extra of this package that brings it, for the message.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise missing_package("drawing figures", "matplotlib", f'pip install "recalib-keras[{extra}]"') from error
    return matplotlib


def new_figure(width: float, height: float, dots_per_inch: int = DOTS_PER_INCH, background: str = "white") -> Figure:
    """Returns an empty `matplotlib.figure.Figure`, independent of pyplot and of any window system.

    Args:
        width: Width (inches).
        height: Height (inches).
        dots_per_inch: Resolution of the file.
        background: Colour, as matplotlib names it.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dots_per_inch, facecolor=background)
    FigureCanvasAgg(figure)
    return figure


def check_format(name: str) -> None:
    """Checks the name of a format of pictures.

    Args:
        name: One of `FORMATS`.

    Raises:
        ValueError: If it is another one.
    """
    if name not in FORMATS:
        raise ValueError(f"expected a format of pictures of {', '.join(FORMATS)}, got {name!r}; choose one of them")


def format_of(path: str | os.PathLike) -> str:
    """Returns the format of a picture by the suffix of its file: png, svg or pdf.

    Args:
        path: The file.

    Raises:
        ValueError: If the suffix is another one.

    Example:
        >>> format_of("figures/boxplots.SVG")
        'svg'
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise ValueError(
            f"{os.fspath(path)}: expected a picture that ends in .png, .svg or .pdf, got "
            f"{repr('.' + suffix) if suffix else 'no suffix'}; name it {Path(path).stem or 'picture'}.png"
        )
    return suffix


def save_figure(figure: Figure, path: str | os.PathLike) -> Path:
    """Writes a figure as PNG, SVG or PDF, by the suffix of the file, atomically.

    Args:
        figure: The figure.
        path: The file to create or replace. Missing parent folders are created.

    Returns:
        `path` as a `Path`.

    Raises:
        ValueError: If the file ends in anything else.
        WriteError: If the file cannot be written.
    """
    import matplotlib

    kind = format_of(path)

    def write(temporary):
        with matplotlib.rc_context(STYLE):
            figure.savefig(temporary, format=kind, metadata=UNDATED[kind])

    return atomic_write(path, write)


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Returns new axes at a place given in inches from the lower left corner.

    Args:
        figure: The figure to add them to.
        left: Distance from the left border (inches).
        bottom: Distance from the lower border (inches).
        width: Width of the axes (inches).
        height: Height of the axes (inches).
    """
    wide, tall = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Returns the width (inches) of the longest line of a text in the default font.

    Args:
        text: The text.
        size: Size of the font (points).
        weight: `"normal"` or `"bold"`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    import_matplotlib()
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    properties = FontProperties(size=size, weight=weight)
    return max(TextPath((0, 0), line or " ", prop=properties).get_extents().width / 72 for line in text.split("\n"))


def plain(color: Sequence[int]) -> tuple[float, float, float]:
    """Returns a colour in matplotlib's form, from 0 to 1.

    Args:
        color: Colour (RGB, 0 to 255).
    """
    red, green, blue = (channel / 255 for channel in color)
    return red, green, blue


def volume_unit(volumes: np.ndarray) -> tuple[str, float]:
    """Returns the unit in which volumes are written, and the factor from mm³ to it.

    Args:
        volumes: Volumes (mm³); NaN is left out.

    Example:
        >>> volume_unit(np.array([1500.0, 90_000.0]))
        ('mL', 0.001)
    """
    return ("mL", 1e-3) if np.nanmax(volumes, initial=0) > MILLILITRES_FROM else ("mm³", 1.0)


def tidy(axes: Axes) -> None:
    """Hides the right and upper sides of a plot's frame, and makes its text small.

    Args:
        axes: Axes of the plot.
    """
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
    axes.tick_params(labelsize=8, color=GREY, labelcolor=DARK)
    axes.set_axisbelow(True)
