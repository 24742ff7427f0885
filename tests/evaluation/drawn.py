"""What tests ask of every figure: nothing cut off, and no text upon another."""

import itertools


def texts(figure):
    """Every text that is seen in a figure, with its box in pixels."""
    figure.canvas.draw()
    found = [*figure.texts]
    for legend in (*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())):
        found += [*legend.get_texts(), legend.get_title()]
    for axes in figure.axes:
        found += [*axes.texts, axes.title]
        if axes.axison:
            for axis in (axes.xaxis, axes.yaxis):
                found += [axis.label, axis.get_offset_text(), *_tick_labels(axis)]
    return [(text.get_text(), text.get_window_extent()) for text in found if text.get_text().strip()]


def _tick_labels(axis):
    """The labels of an axis that lie between its ends; those beyond exist, but are not drawn."""
    low, high = sorted(axis.get_view_interval())
    rounding = 1e-9 * (high - low)
    ticks = [(tick.get_loc(), tick) for tick in axis.get_major_ticks()]
    drawn = [tick for place, tick in ticks if low - rounding <= place <= high + rounding]
    return [label for tick in drawn for label in (tick.label1, tick.label2) if label.get_visible()]


def assert_legible(figure):
    """Checks that all texts lie inside the figure and apart from one another."""
    boxes = texts(figure)
    width, height = figure.canvas.get_width_height()
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, f"{name!r} is cut off"
    for (name, box), (other, other_box) in itertools.combinations(boxes, 2):
        overlap = (
            min(box.x1, other_box.x1) - max(box.x0, other_box.x0),
            min(box.y1, other_box.y1) - max(box.y0, other_box.y0),
        )
        assert min(overlap) <= 1, f"{name!r} and {other!r} overlap"


def legend(figure):
    """The texts of a figure's legend, wherever it stands."""
    legends = figure.legends or [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [text.get_text() for text in legends[0].get_texts()]
