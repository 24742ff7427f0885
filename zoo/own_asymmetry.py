"""The asymmetry that a network itself adds to what it measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recalib_keras.core.checks import check_range, check_text


class Spread(NamedTuple):
    """What a network finds in versions of one template.

    Args:
        mean: Mean asymmetry (%) of a pair of structures.
        sd: Standard deviation of the asymmetry (%) between the versions.
    """

    mean: float
    sd: float


@dataclass(frozen=True)
class OwnAsymmetry:
    """The asymmetry that a network finds in a template that has none.

    It is shown beside the asymmetry of a patient: one that is not larger may come from the network itself.

    Args:
        template: What was segmented, in words.
        versions: In how many versions: with other noise, contrast, resolution or position of the head.
        percent: For each left structure, by its name: mean and standard deviation of `100·(L - R) / ((L + R) / 2)`.

    Raises:
        RecordError: A value is outside its range.
    """

    template: str
    versions: int
    percent: dict[str, tuple[float, float]]

    def __post_init__(self):
        check_text(self.template, "template")
        check_range(self.versions, "versions", 1)
        for name, (mean, sd) in self.percent.items():
            check_range(mean, f"percent.{name}", -200, 200)
            check_range(sd, f"percent.{name}", 0, 200)

    def of(self, *names: str) -> Spread | None:
        """Returns the asymmetry of a pair; None if it was not measured.

        Args:
            *names: Names of its structures, in any order.

        Example:
            >>> own = OwnAsymmetry("a symmetric head", 8, {"left thalamus": (1.5, 0.4)})
            >>> own.of("right thalamus", "left thalamus"), own.of("brain-stem")
            (Spread(mean=1.5, sd=0.4), None)
        """
        return next((Spread(*self.percent[name]) for name in names if name in self.percent), None)


def own_asymmetry_of(template: str, measured: Sequence[dict[str, float]]) -> OwnAsymmetry:
    """Returns what the asymmetries of several versions of a template tell.

    Args:
        template: The template, in words.
        measured: For each version, two or more, the asymmetry (%) of each pair by the name of its left structure. A
            pair that is missing in any version is left out.

    Example:
        >>> own_asymmetry_of("a symmetric head", [{"left thalamus": 1.0}, {"left thalamus": 2.0}]).percent
        {'left thalamus': (1.5, 0.71)}
    """
    names = [name for name in measured[0] if all(name in each for each in measured)]
    values = {name: np.array([each[name] for each in measured]) for name in names}
    percent = {name: (round(float(of.mean()), 2), round(float(of.std(ddof=1)), 2)) for name, of in values.items()}
    return OwnAsymmetry(template, len(measured), percent)
