"""Draws the diagrams of docs/blocks.md: `python -m docs.block_diagrams` writes docs/pictures/blocks/*.svg.

A row is one recalibration: what is computed from a feature map, above the feature map itself, which it multiplies.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from recalib_keras.core.files import write_text

FOLDER = Path(__file__).parent / "pictures" / "blocks"
INK, MUTED, BOX, GATE = "#1f2933", "#5f6b7a", "#cfe3f3", "#f6c667"
FONT = "font-family='sans-serif'"
WIDTH, ROW = 760, 104
LEFT, RIGHT, MARGIN = 58, 640, 10  # where a row begins to split, where it multiplies; the space between boxes
HEIGHT = 30  # of a box


class Row(NamedTuple):
    """One recalibration.

    Attributes:
        start: Name of the feature map that comes in.
        steps: What is computed, and the shape that it leaves.
        end: Name of the feature map that goes out.
    """

    start: str
    steps: Sequence[tuple[str, str]]
    end: str


CHANNEL = (("mean over space", "C"), ("C → C/r", "C/r"), ("ReLU", "C/r"), ("C/r → C", "C"), ("σ", "a gate a channel"))
SPACE = (("1×1 convolution, C → 1", "space × 1"), ("σ", "a gate a position"))
DIAGRAMS = {
    "cse": [Row("U", CHANNEL, "Û")],
    "sse": [Row("U", SPACE, "Û")],
    "scse": [Row("U", CHANNEL, "U_cSE"), Row("U", SPACE, "U_sSE")],
    "pe": [
        Row(
            "U",
            (
                ("mean onto each axis", "one map an axis"),
                ("add, broadcast", "space × C"),
                ("C → C/r", "space × C/r"),
                ("ReLU", ""),
                ("C/r → C", "space × C"),
                ("σ", "a gate a value"),
            ),
            "Û",
        )
    ],
    "segse": [
        Row(
            "V",
            (
                ("3×…×3 convolution, dilation d", "space × mC/r"),
                ("ReLU", ""),
                ("mC/r → mC", "space × mC"),
                ("σ", "a gate a value"),
            ),
            "Ŵ",
        )
    ],
    "cbam": [
        Row(
            "U",
            (
                ("mean and max over space", "2 × C"),
                ("C → C/r → C, shared", "2 × C"),
                ("add", "C"),
                ("σ", "a gate a channel"),
            ),
            "U′",
        ),
        Row(
            "U′",
            (
                ("mean and max over channels", "space × 2"),
                ("k×…×k convolution, 2 → 1", "space × 1"),
                ("σ", "a gate a position"),
            ),
            "Û",
        ),
    ],
}


def main() -> None:
    """Writes the diagrams."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, rows in DIAGRAMS.items():
        write_text(FOLDER / f"{name}.svg", diagram(rows))


def diagram(rows: Sequence[Row]) -> str:
    """Returns a diagram as SVG."""
    height = ROW * len(rows) + 6
    parts = [line for index, row in enumerate(rows) for line in _row(row, 34 + ROW * index)]
    arrow = (
        f"<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
        f"<path d='M0 0 8 4 0 8z' fill='{INK}'/></marker></defs>"
    )
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}'>"
    ground = f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>"
    return "\n".join([head, arrow, ground, *parts, "</svg>", ""])


def _row(row, y):
    below = y + 50
    yield _text(24, below + 5, row.start, size=17, bold=True)
    yield _line([(44, below), (RIGHT - 12, below)])
    yield _line([(LEFT, below), (LEFT, y), (LEFT + 16, y)])
    yield from _boxes(row.steps, y)
    yield _line([(RIGHT - 14, y), (RIGHT, y), (RIGHT, below - 12)])
    yield f"<circle cx='{RIGHT}' cy='{below}' r='11' fill='#ffffff' stroke='{INK}'/>"
    yield _text(RIGHT, below + 5, "×", size=16)
    yield _line([(RIGHT + 11, below), (RIGHT + 50, below)])
    yield _text(RIGHT + 80, below + 5, row.end, size=17, bold=True)


def _boxes(steps, y):
    """Yields the boxes of a row, each as wide as its words."""
    weights = [max(len(name) + 3, 0.8 * len(shape)) for name, shape in steps]
    room = RIGHT - 14 - (LEFT + 16) - MARGIN * (len(steps) - 1)
    left = LEFT + 16
    for (name, shape), weight in zip(steps, weights):
        width = room * weight / sum(weights)
        fill = GATE if name == "σ" else BOX
        yield (
            f"<rect x='{left:.1f}' y='{y - HEIGHT / 2}' width='{width:.1f}' height='{HEIGHT}' rx='4' fill='{fill}' "
            f"stroke='{INK}' stroke-width='.8'/>"
        )
        yield _text(left + width / 2, y + 4, name, size=12)
        yield _text(left + width / 2, y + 30, shape, size=10.5, color=MUTED)
        if left > LEFT + 16:
            yield _line([(left - MARGIN, y), (left, y)])
        left += width + MARGIN


def _text(x, y, text, size, color=INK, bold=False):
    weight = " font-weight='bold'" if bold else ""
    main, _, lowered = text.partition("_")
    sub = f"<tspan font-size='{size * 0.65:.1f}' dy='4'>{escape(lowered)}</tspan>" if lowered else ""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='middle' fill='{color}'{weight} {FONT}>"
        f"{escape(main)}{sub}</text>"
    )


def _line(points):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{INK}' marker-end='url(#tip)'/>"


if __name__ == "__main__":
    main()
