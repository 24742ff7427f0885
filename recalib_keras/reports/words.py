"""What warnings mean, and what numbers mean, for a reader who is not an expert in networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recalib_keras.inference.quality_control import warning_kinds

# What each kind of warning means in plain words.
MEANINGS = {
    "unfamiliar": (
        "The network is less sure of its labels than it was for any scan that it was validated on. Another contrast, "
        "strong noise, motion, or a disease that the training did not show may be the reason. Check all borders."
    ),
    "unusual volume": (
        "Taken together, the structures are far larger or smaller than in all scans of the validation. The scan may "
        "show another part of the body, have a wrong voxel size, or be cut off. Check the size of the voxels first."
    ),
    "structures missing": (
        "The network missed structures that everybody should have. They may lie outside the scan, or the scan may look "
        "too unfamiliar. Do not use the volumes of these structures."
    ),
    "cut off": (
        "Part of the structures lies outside the scan, so their volumes are too small. Do not compare them with those "
        "of whole scans."
    ),
    "nothing found": (
        "There is no label at all. The scan may show another part of the body, or be in another contrast than the "
        "network knows."
    ),
}
OTHER_KIND = "other"
OTHERWISE = "The labels may be wrong. Look at them before you use the volumes."


class Explained(NamedTuple):
    """A warning and its meaning.

    Args:
        sentence: As quality control says it, with a capital letter and a full stop.
        meaning: What it means, and what to do.
    """

    sentence: str
    meaning: str


def in_plain_words(warnings: Sequence[str]) -> list[Explained]:
    """Returns warnings with what they mean.

    Args:
        warnings: As `Segmentation.warnings` has them.

    Example:
        >>> in_plain_words(["nothing found: 0 of 3 structures"])[0].sentence
        'Nothing found: 0 of 3 structures.'
    """
    found = []
    for text in warnings:
        meaning = next((MEANINGS[kind] for kind in warning_kinds(text)), OTHERWISE)
        found.append(Explained(f"{text[:1].upper()}{text[1:]}.", meaning))
    return found


def kinds(warning: str) -> list[str]:
    """Returns the kinds of the warnings in a text, in few words; none for an empty text.

    Args:
        warning: One warning or several, as the table of volumes has them.

    Example:
        >>> kinds("nothing found: 0 of 3 structures"), kinds("blurred"), kinds("")
        (['nothing found'], ['other'], [])
    """
    return warning_kinds(warning) or [OTHER_KIND] * bool(warning)
