"""What all figures share: matplotlib without pyplot, one look, and files written whole."""

from recalib_keras.core.files import atomic_write

DOTS_PER_INCH = 200  # enough for print at the sizes drawn
DARK, GREY, PALE = "#222222", "#777777", "#dddddd"


def import_matplotlib():
    """Returns matplotlib.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            'drawing pictures needs matplotlib, which is not installed; run: pip install "recalib-keras[figures]"'
        ) from error
    return matplotlib


def new_figure(width, height, dots_per_inch=DOTS_PER_INCH, background="white"):
    """Returns an empty `matplotlib.figure.Figure` of a size in inches, which no window system and no state knows of."""
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dots_per_inch, facecolor=background)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure, path):
    """Writes a figure as PNG, wholly or not at all; returns its path."""
    return atomic_write(path, lambda temporary: figure.savefig(temporary, format="png"))


def add_axes(figure, left, bottom, width, height):
    """Returns axes whose place and size are given in inches from the lower left corner."""
    wide, tall = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))


def text_width(text, size, weight="normal"):
    """Returns the width (inches) of the longest line of a text, for the default font of a size in points."""
    import_matplotlib()
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    properties = FontProperties(size=size, weight=weight)
    return max(TextPath((0, 0), line or " ", prop=properties).get_extents().width / 72 for line in text.split("\n"))


def plain(color):
    """Returns a colour (RGB, 0 to 255) as matplotlib wants it."""
    return tuple(channel / 255 for channel in color)


def tidy(axes) -> None:
    """Takes the frame of a plot away but for its left and lower sides, and makes its text small."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
    axes.tick_params(labelsize=8, color=GREY, labelcolor=DARK)
    axes.set_axisbelow(True)
