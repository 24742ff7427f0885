"""How many epochs a time budget allows, after what their validation takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from recalib_keras.core.messages import counted
from recalib_keras.training.planning.geometry import Geometry
from recalib_keras.volumes.windows import WindowGrid

STEPS_PER_EPOCH = 100
LEAST_EPOCHS, MOST_EPOCHS = 5, 1000
FEW_STEPS = 250  # a network without pretrained weights learns little from fewer
MOST_VALIDATIONS = 6
SHARE_OF_VALIDATION = 0.25  # of the time, at most
PASSES_PER_STEP = 3  # a step is as long as three passes of its windows: one forward, about two backward


@dataclass(frozen=True)
class Budget:
    """How long the training may take.

    Args:
        minutes: Minutes.
        step: Seconds of a step.
        epochs: Number of epochs instead; None to follow from the minutes.
    """

    minutes: float
    step: float | None = None
    epochs: int | None = None


class Duration(NamedTuple):
    """How long a training is.

    Args:
        epochs: Number of epochs.
        steps: Steps of each.
        validate_every: Epochs between two validations.
        why: The reason, in words.
    """

    epochs: int
    steps: int
    validate_every: int
    why: str


def duration(budget: Budget, geometry: Geometry, batch: int, held_out: int) -> Duration:
    """Returns how long a training is that keeps to a budget.

    Args:
        budget: The budget.
        geometry: What the network sees, and the median scan.
        batch: Windows in a batch.
        held_out: Number of validation scans.

    Example:
        >>> geometry = Geometry((1.0, 1.0, 1.0), 1.0, (36, 50, 35), (40, 56, 40), ((2, 2, 2),) * 3)
        >>> duration(Budget(minutes=20, step=1.0), geometry, batch=2, held_out=42)[:3]
        (11, 100, 2)
        >>> print(duration(Budget(minutes=1, step=1.0), geometry, batch=2, held_out=1).why)
        55 steps of 1 s, as measured here, and 5 validations of 1 scan take about 1 minute; the budget is 1 min.
    """
    if budget.epochs is not None:
        every = max(1, budget.epochs // MOST_VALIDATIONS)
        return Duration(budget.epochs, STEPS_PER_EPOCH, every, "As asked for.")
    total, step = 60 * budget.minutes, budget.step or 0.0
    windows = math.prod(map(len, WindowGrid(geometry.shape, geometry.window).starts))
    validation = held_out * windows * step / PASSES_PER_STEP / batch
    # One more measures the kept weights at the end.
    affordable = int(SHARE_OF_VALIDATION * total / validation) - 1 if validation else MOST_VALIDATIONS
    validations = min(MOST_VALIDATIONS, max(1, affordable))
    steps = max(LEAST_EPOCHS, int(max(total - (validations + 1) * validation, total / 2) / step))
    per_epoch = min(STEPS_PER_EPOCH, max(1, steps // LEAST_EPOCHS))
    epochs = min(MOST_EPOCHS, steps // per_epoch)
    every = -(-epochs // validations)
    expected = epochs * per_epoch * step + (-(-epochs // every) + 1) * validation
    why = (
        f"{epochs * per_epoch:,} steps of {step:.2g} s, as measured here, and "
        f"{counted(-(-epochs // every), 'validation')} of {counted(held_out, 'scan')} take about "
        f"{counted(max(1, round(expected / 60)), 'minute')}; the budget is {budget.minutes:g} min."
    )
    return Duration(epochs, per_epoch, every, why)
