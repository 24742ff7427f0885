"""Left and right in the names of structures."""

import re

WORDS = ("left", "right")


def side(name):
    """Returns "left" or "right", whichever of the two words a name has; None for neither or both.

    >>> side("Left-Hippocampus"), side("kidney_right"), side("brain-stem")
    ('left', 'right', None)
    """
    found = set(WORDS) & set(re.split(r"[\W_]+", name.lower()))
    return found.pop() if len(found) == 1 else None


def without_side(name):
    """Returns a name without its side.

    >>> without_side("Left-Hippocampus"), without_side("kidney_right"), without_side("brain-stem")
    ('Hippocampus', 'kidney', 'brain-stem')
    """
    if side(name) is None:
        return name
    parts = re.split(r"([\W_]+)", name)
    place = next(place for place, part in enumerate(parts) if part.lower() in WORDS)
    first = max(0, place - 1) if place + 1 == len(parts) else place  # with the space after it, or the one before
    return "".join(parts[:first] + parts[place + 2 :])
