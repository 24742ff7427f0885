"""When a training ends before its last epoch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DICE = "dice"


def score_of(line: Mapping[str, Any], objective: str = DICE) -> float | None:
    """Returns the score of an epoch, or None if the epoch was not validated.

    Args:
        line: A line of the log; that of a validated epoch has a `"dice"` and a `"dice_by_structure"`.
        objective: `"dice"` for the mean Dice, or the name of a structure for its own; 0 if the structure is in none
            of the validation scans.

    Example:
        >>> line = {"dice": 0.75, "dice_by_structure": {"shell": 0.5, "core": 1.0}}
        >>> score_of(line), score_of(line, "shell"), score_of({"loss": 1.0})
        (0.75, 0.5, None)
    """
    if "dice" not in line:
        return None
    score = line["dice"] if objective == DICE else line["dice_by_structure"].get(objective, 0.0)
    return score if math.isfinite(score) else 0.0


def has_stalled(history: Iterable[Mapping[str, Any]], patience: int, objective: str = DICE) -> bool:
    """Returns whether none of the last validations scored higher than the best one before them.

    Args:
        history: The lines of a log, in order.
        patience: How many validations may pass without a higher score; 0 for any number.
        objective: What is scored; see `score_of`.

    Example:
        >>> has_stalled([{"dice": 0.5}, {"dice": 0.7}, {}, {"dice": 0.6}, {"dice": 0.7}], patience=2)
        True
    """
    scores = (score_of(line, objective) for line in history)
    return have_stalled([score for score in scores if score is not None], patience)


def have_stalled(scores: Sequence[float], patience: int) -> bool:
    """Returns whether none of the last scores is higher than the best one before them.

    Args:
        scores: The scores of all validations, in order.
        patience: How many validations may pass without a higher score; 0 for any number.

    Example:
        >>> have_stalled([0.5, 0.7, 0.6, 0.7], patience=2), have_stalled([0.5, 0.7, 0.6, 0.7], patience=3)
        (True, False)
    """
    return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])
