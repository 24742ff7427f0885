"""Presets as a table that people read: one line for each weight set and each ensemble."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recalib_keras.zoo.preset import Preset

COLUMNS = ("preset", "weights", "Dice", "parameters", "licence", "segments")
MOST_IN_CELL = 60  # letters of what a weight set segments, so that a line fits on a screen


def rows(preset: Preset) -> list[tuple[str, ...]]:
    """Returns the names of columns, then the cells of each weight set and ensemble of a preset.

    Args:
        preset: The preset.
    """
    of_sets = [_weight_set(preset, name) for name in preset.weight_sets]
    return [COLUMNS, *of_sets, *(_ensemble(preset, name) for name in preset.ensembles)]


def table(preset: Preset) -> str:
    """Returns the weight sets and ensembles of a preset as lines of aligned columns, names of the columns first.

    Args:
        preset: The preset.
    """
    return "\n".join(aligned([(*cells, _shortened(last)) for *cells, last in rows(preset)]))


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows as a table in HTML, for notebooks.

    Args:
        rows: The names of the columns, then the cells of each row.

    Example:
        >>> html_table([("name",), ("a < b",)])
        '<table><thead><tr><th>name</th></tr></thead><tbody><tr><td>a &lt; b</td></tr></tbody></table>'
    """
    head, *body = (
        "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
        for row, tag in zip(rows, ["th"] + ["td"] * (len(rows) - 1))
    )
    lines = "".join(f"<tr>{cells}</tr>" for cells in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns each row as a line whose columns start at the same places.

    Args:
        rows: Cells, as many in each row.

    Example:
        >>> aligned([("a", "long", "x"), ("bcd", "e", "y")])
        ['a    long  x', 'bcd  e     y']
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0])) for row in rows]


def licences(preset: Preset, weights: str | Mapping[str, float]) -> str:
    """Returns the licence of a weight set, or the licences of an ensemble's members.

    Args:
        preset: The preset.
        weights: Name of one of its weight sets or ensembles, or the shares of several weight sets.
    """
    return "; ".join(dict.fromkeys(preset.weight_sets[name].licence for name in preset.shares(weights)))


def _shortened(text):
    return text if len(text) <= MOST_IN_CELL else f"{text[: MOST_IN_CELL - 1]}…"


def _weight_set(preset, name):
    described = preset.weight_sets[name]
    return preset.name, name, _dice(described.score), f"{described.parameters:,}", described.licence, described.title


def _ensemble(preset, name):
    shares = preset.ensembles[name]
    parameters = sum(preset.weight_sets[member].parameters for member in shares)
    members = ", ".join(f"{share:g} {member}" for member, share in shares.items())
    return (
        preset.name,
        name,
        _dice(preset.scores.get(name, {})),
        f"{parameters:,}",
        licences(preset, name),
        f"average of {members}",
    )


def _dice(score):
    dice = score.get("dice")
    return f"{dice:.3f}" if isinstance(dice, (int, float)) else ""
