"""Ranges of intensities in the names of normalisations, such as the Hounsfield units of `ct:-160:240`."""

import re

CT = "ct"
WITH_RANGE = re.compile(r"ct:(-?\d{1,5}):(-?\d{1,5})")


def ct_range(normalization: str) -> tuple[float, float] | None:
    """Returns the range of Hounsfield units that a normalisation names; None if it is another one, or names none.

    Args:
        normalization: Such as `"ct:-160:240"`, whose second number is the larger one.

    Example:
        >>> ct_range("ct:-160:240"), ct_range("ct:240:-160"), ct_range("ct")
        ((-160.0, 240.0), None, None)
    """
    found = WITH_RANGE.fullmatch(normalization)
    if found is None:
        return None
    low, high = map(float, found.groups())
    return (low, high) if low < high else None
