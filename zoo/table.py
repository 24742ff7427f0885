"""Presets as a table that people read: one line for each weight set and each ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recalib_keras.zoo.preset import Preset

COLUMNS = ("preset", "weights", "Dice", "parameters", "licence", "segments")


def table(presets: Iterable[Preset]) -> str:
    """Returns the weight sets and ensembles of presets as lines of aligned columns, names of the columns first.

    Args:
        presets: The presets to list.
    """
    rows = [COLUMNS]
    for preset in presets:
        rows += [_weight_set(preset, name) for name in preset.weight_sets]
        rows += [_ensemble(preset, name) for name in preset.ensembles]
    return "\n".join(aligned(rows))


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


def licences(preset: Preset, weights: str) -> str:
    """Returns the licence of a weight set, or the licences of an ensemble's members.

    Args:
        preset: The preset.
        weights: Name of one of its weight sets or ensembles.
    """
    return "; ".join(dict.fromkeys(preset.weight_sets[name].licence for name in preset.shares(weights)))


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
