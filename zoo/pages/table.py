"""Presets as a table that people read: one line for each weight set and each ensemble."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recalib_keras.zoo import licences as licence_names

if TYPE_CHECKING:
    from recalib_keras.evaluation import Report
    from recalib_keras.zoo.preset import Preset

COLUMNS = ("preset", "weights", "Dice", "parameters", "licence", "segments")
NO_BREAK = "\N{NO-BREAK SPACE}"
MOST_IN_CELL = 60  # letters of what a weight set segments, so that a line fits on a screen


def rows(preset: Preset) -> list[tuple[str, ...]]:
    """Returns the names of columns, then the cells of each weight set and ensemble of a preset.

    Args:
        preset: The preset.
    """
    return [COLUMNS, *(_row(preset, name) for name in (*preset.weight_sets, *preset.ensembles))]


def table(preset: Preset) -> str:
    """Returns the weight sets and ensembles of a preset as lines of aligned columns, names of the columns first.

    Args:
        preset: The preset.
    """
    lines = aligned([(*cells, _shortened(last)) for *cells, last in rows(preset)])
    return "\n".join(lines).replace(NO_BREAK, " ")


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


def report(preset: Preset, weights: str) -> Report | None:
    """Returns the report of the Dice of each validation scan that lies beside a preset, or None.

    Args:
        preset: The preset.
        weights: Name of one of its weight sets or ensembles.
    """
    path = preset.folder / f"{weights}.csv"
    if not path.is_file():
        return None
    from recalib_keras.evaluation import Report

    return Report.read(path)


def mean_dice(preset: Preset, weights: str) -> float | None:
    """Returns the mean Dice that a description states, or else, of an ensemble, that of its report; None without both.

    Args:
        preset: The preset.
        weights: Name of one of its weight sets or ensembles.
    """
    if weights in preset.weight_sets:
        return preset.weight_sets[weights].score.get("dice")
    stated = preset.scores.get(weights, {}).get("dice")
    measured = report(preset, weights) if stated is None else None
    return stated if measured is None else float(measured.scan_means("dice").mean())


def marked(weights: str, is_default: bool) -> str:
    """Returns the name of weights, with `*` if a preset's name alone stands for them; a line never breaks before it.

    Args:
        weights: The name.
        is_default: Whether it does.
    """
    return f"{weights}{NO_BREAK}*" if is_default else weights


def _row(preset, name):
    shares = preset.shares(name)
    members = [preset.weight_sets[member] for member in shares]
    dice = mean_dice(preset, name)
    average = ", ".join(f"{share:g} {member}" for member, share in shares.items())
    return (
        preset.name,
        marked(name, shares == preset.shares()),
        f"{dice:.3f}" if isinstance(dice, (int, float)) else "",
        f"{sum(member.parameters for member in members):,}",
        "; ".join(dict.fromkeys(licence_names.title(member.licence) for member in members)),
        members[0].title if name in preset.weight_sets else f"average of {average}",
    )
