"""Draws the figure of the README, `architecture.svg`: the networks and the recalibration blocks.

Run it with `python -m docs.architecture`.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path as Outline

from recalib_keras.core.files import atomic_write

TARGET = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT, PIXELS_PER_INCH = 800, 588, 100

INK, MUTED, LINE = "#1f2933", "#5f6b7a", "#8793a1"
# The colours of Okabe and Ito: colour-blind readers can distinguish them.
CONVOLUTIONS, RECALIBRATION, CLASSIFIER = "#cfe3f3", "#e69f00", "#bfe3d5"
GATES = matplotlib.colormaps["YlOrBr"]

DASHES = (0, (3, 2))

LEVELS = 4
BLOCK, GATE, TALL = 84, 11, 28
ENCODER_LEFT, DECODER_LEFT, TOP, STEP_DOWN, STEP_IN = 108, 532, 544, 58, 30
BOTTLENECK_LEFT = (ENCODER_LEFT + DECODER_LEFT) / 2
PIPELINE_TOP = 276

# Each block, and what it does in each of the three steps (papers: see the docstrings in recalib_keras/layers).
PIPELINE = (
    ("cSE", "mean over space", "C → C/r → C", "one gate a channel"),
    ("sSE", "1×1 convolution, C → 1", "nothing", "one gate a position"),
    ("scSE", "both of the above", "both of the above", "the larger of both (or +, ×, concat)"),
    ("PE", "mean onto each spatial axis", "add up, C → C/r → C", "one gate a channel and position"),
)
COLUMNS = (34, 86, 288, 444)
GATES_LEFT, CELL, TINTS = 678, 7, 6


def main() -> None:
    """Writes the figure."""
    # Text stays text, so the file is small, and readers can search it or have it read aloud.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "recalib-keras", "font.size": 8.5, "text.color": INK}
    with matplotlib.rc_context(settings):
        figure = draw()
        # The same file with every version of matplotlib, on every day.
        metadata = {"Date": None, "Creator": "docs/architecture.py"}
        atomic_write(TARGET, lambda temporary: figure.savefig(temporary, format="svg", metadata=metadata))


def draw() -> Figure:
    """Returns the figure."""
    figure = Figure(figsize=(WIDTH / PIXELS_PER_INCH, HEIGHT / PIXELS_PER_INCH), dpi=PIXELS_PER_INCH, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.set_axis_off()
    _draw_network(axes)
    _draw_key(axes)
    _draw_pipeline(axes)
    return figure


def _draw_network(axes):
    _draw_scan(axes, 20, TOP, has_labels=False)
    _arrow(axes, (78, TOP), (ENCODER_LEFT, TOP))
    for level in range(LEVELS):
        left, right, y = ENCODER_LEFT + level * STEP_IN, DECODER_LEFT - level * STEP_IN, TOP - level * STEP_DOWN
        below = y - STEP_DOWN
        is_last = level == LEVELS - 1
        _draw_block(axes, left, y, f"encoder {level + 1}")
        _draw_block(axes, right, y, f"decoder {level + 1}")
        _arrow(axes, (left + BLOCK + GATE, y), (right, y), color=LINE, linestyle=DASHES)
        down, up = left + BLOCK - STEP_IN / 2, right + STEP_IN / 2
        if is_last:
            _elbow(axes, (down, y - TALL / 2), (BOTTLENECK_LEFT, below))
            _elbow(axes, (up, y - TALL / 2), (BOTTLENECK_LEFT + BLOCK + GATE, below), is_upward=True)
        else:
            _arrow(axes, (down, y - TALL / 2), (down, below + TALL / 2))
            _arrow(axes, (up, below + TALL / 2), (up, y - TALL / 2))
    _draw_block(axes, BOTTLENECK_LEFT, TOP - LEVELS * STEP_DOWN, "bottleneck", is_optional=True)
    middle = (ENCODER_LEFT + DECODER_LEFT + BLOCK + GATE) / 2
    axes.text(middle, TOP + 5, "skip connections, concatenated", color=MUTED, ha="center")
    axes.text(middle, TOP - 14, "(the map after or before recalibration)", color=MUTED, ha="center", fontsize=7.5)
    y = TOP - STEP_DOWN / 2
    axes.text(ENCODER_LEFT + BLOCK - 8, y, "max pooling, ÷ 2", color=MUTED, ha="left", va="center", fontsize=7.5)
    axes.text(DECODER_LEFT + 8, y, "up-sampling, × 2", color=MUTED, ha="right", va="center", fontsize=7.5)
    _draw_classifier(axes)


def _draw_classifier(axes):
    left = DECODER_LEFT + BLOCK + GATE
    _arrow(axes, (left, TOP), (left + 18, TOP))
    _box(axes, left + 18, TOP, 56, 34, CLASSIFIER)
    axes.text(left + 46, TOP, "classifier\n1×1", ha="center", va="center", fontsize=7.5)
    _box(axes, left + 74, TOP, GATE, 34, "white", edge=RECALIBRATION, linestyle=DASHES)
    _arrow(axes, (left + 74 + GATE, TOP), (WIDTH - 70, TOP))
    _draw_scan(axes, WIDTH - 70, TOP, has_labels=True)


def _draw_block(axes, left, y, name, is_optional=False):
    """Draws a block of convolutions and its recalibration block, which is dashed if it is optional."""
    _box(axes, left, y, BLOCK, TALL, CONVOLUTIONS)
    axes.text(left + BLOCK / 2, y, name, ha="center", va="center")
    if is_optional:
        _box(axes, left + BLOCK, y, GATE, TALL, "white", edge=RECALIBRATION, linestyle=DASHES)
    else:
        _box(axes, left + BLOCK, y, GATE, TALL, RECALIBRATION)


def _draw_scan(axes, left, y, has_labels):
    """Draws a small scan, or its labels."""
    side, centre = 56, (left + 28, y)
    axes.add_patch(Rectangle((left, y - side / 2), side, side, facecolor=INK))
    axes.add_patch(Ellipse(centre, 42, 50, facecolor="#9aa5b1"))
    for direction in (-1, 1):
        color = ("#56b4e9" if direction < 0 else "#009e73") if has_labels else "#4a5662"
        axes.add_patch(Ellipse((centre[0] + 8 * direction, y + 2), 9, 24, angle=-14 * direction, facecolor=color))
    axes.text(centre[0], y - side / 2 - 6, "labels" if has_labels else "scan", ha="center", va="top")


def _draw_key(axes):
    y = TOP - 3.3 * STEP_DOWN
    _box(axes, 20, y, 22, 16, CONVOLUTIONS)
    axes.text(50, y, "convolutions", va="center")
    _box(axes, 20, y - 22, GATE, 16, RECALIBRATION)
    axes.text(50, y - 22, "recalibration", va="center")
    _box(axes, 20, y - 44, GATE, 16, "white", edge=RECALIBRATION, linestyle=DASHES)
    axes.text(50, y - 44, "recalibration, optional", va="center")
    networks = (
        ("U-Net", "two 3×3"),
        ("SD-Net", "one 7×7"),
        ("FC-DenseNet", "two 5×5, dense; a 1×1"),
        ("in 3-D", "3×3×3 in place of these"),
    )
    for row, (network, convolutions) in enumerate(networks):
        axes.text(554, y + 8 - 17 * row, network, va="center", weight="bold", fontsize=7.5)
        axes.text(644, y + 8 - 17 * row, convolutions, va="center", fontsize=7.5)


def _draw_pipeline(axes):
    y = PIPELINE_TOP - 20
    axes.add_patch(
        FancyBboxPatch(
            (14, 12),
            WIDTH - 28,
            PIPELINE_TOP - 12,
            boxstyle="round,pad=0,rounding_size=8",
            facecolor="#fffaf0",
            edgecolor=RECALIBRATION,
        )
    )
    _box(axes, 28, y, GATE, 16, RECALIBRATION)
    axes.text(48, y, "A recalibration block", weight="bold", va="center", fontsize=9.5)
    axes.text(222, y, "weighs a feature map U of C channels by gates computed from it", va="center")
    y -= 46
    boxes = ((COLUMNS[1], 148, "compress"), (COLUMNS[2], 118, "process"), (COLUMNS[3], 190, "recalibrate"))
    axes.text(COLUMNS[0] + 12, y, "U", va="center", ha="center", weight="bold", fontsize=11)
    for (left, width, name), start in zip(boxes, (COLUMNS[0] + 20, COLUMNS[1] + 148, COLUMNS[2] + 118)):
        _arrow(axes, (start, y), (left, y))
        _box(axes, left, y, width, 26, "white")
        axes.text(left + width / 2, y, name, ha="center", va="center", weight="bold")
    end = COLUMNS[3] + 190
    _arrow(axes, (end, y), (GATES_LEFT - 8, y))
    axes.text(GATES_LEFT - 4, y, "Û = U · σ(…)", va="center", weight="bold", fontsize=9.5)
    bypass = [(COLUMNS[0] + 12, y + 9), (COLUMNS[0] + 12, y + 24), (COLUMNS[3] + 95, y + 24)]
    axes.plot(*zip(*bypass), color=INK, linewidth=1)
    _arrow(axes, bypass[-1], (COLUMNS[3] + 95, y + 13))
    axes.text(GATES_LEFT, y - 29, "gates, 3 channels", color=MUTED, fontsize=7.5)
    for row, (texts, gates) in enumerate(zip(PIPELINE, _example_gates())):
        _draw_row(axes, y - 52 - 40 * row, texts, gates)


def _draw_row(axes, y, texts, gates):
    for column, text in zip(COLUMNS, texts):
        is_name = column == COLUMNS[0]
        axes.text(column + (0 if is_name else 4), y, text, va="center", weight="bold" if is_name else "normal")
    levels = np.rint(np.stack(gates) * (TINTS - 1)).astype(int)
    for level in np.unique(levels):  # one shape for all cells of one tint makes the file small
        cells = [
            Outline.unit_rectangle().vertices * (CELL - 0.6)
            + (GATES_LEFT + channel * (4 * CELL + 6) + column * CELL, y - 2 * CELL + row * CELL)
            for channel, row, column in np.argwhere(levels == level)
        ]
        outlines = [Outline(cell, Outline.unit_rectangle().codes) for cell in cells]
        color = GATES(0.1 + 0.75 * level / (TINTS - 1))
        axes.add_patch(PathPatch(Outline.make_compound_path(*outlines), facecolor=color, linewidth=0, clip_on=False))


def _example_gates():
    """Returns the gates of three channels, `(3, 4, 4)`, for each block in the order of `PIPELINE`."""
    random = np.random.default_rng(2)
    channels = np.broadcast_to(np.array([0.25, 0.9, 0.55])[:, None, None], (3, 4, 4))
    positions = np.broadcast_to(random.random((4, 4)), (3, 4, 4))
    projections = random.random((3, 4, 1)) + random.random((3, 1, 4))
    return channels, positions, np.maximum(channels, positions), projections / projections.max()


def _box(axes, left, y, width, height, color, edge=INK, linestyle="-"):
    corner = left, y - height / 2
    axes.add_patch(
        Rectangle(
            corner, width, height, facecolor=color, edgecolor=edge, linewidth=0.8, linestyle=linestyle, clip_on=False
        )
    )


def _arrow(axes, start, end, color=INK, linestyle="-", connection="arc3"):
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=8,
            shrinkA=0,
            shrinkB=0,
            color=color,
            linewidth=1,
            linestyle=linestyle,
            connectionstyle=connection,
            clip_on=False,
        )
    )


def _elbow(axes, level_end, bottleneck_end, is_upward=False):
    """Draws the arrow between the last level and the bottleneck, around one corner."""
    if is_upward:
        _arrow(axes, bottleneck_end, level_end, connection="angle,angleA=0,angleB=90,rad=0")
    else:
        _arrow(axes, level_end, bottleneck_end, connection="angle,angleA=90,angleB=0,rad=0")


if __name__ == "__main__":
    main()
