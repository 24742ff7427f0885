"""How different colours look, with and without colour blindness, and colours moved apart until they differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recalib_keras.core.colors import Color

# Linear RGB to cones, and cones to OKLab: B. Ottosson, "A perceptual color space for image processing", 2020.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Linear RGB as people see it who lack the cones for long or for medium waves (8 % of men lack one or have a weak one):
# Machado, Oliveira & Fernandes, IEEE TVCG 2009, severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
# On a scan in grey. Darker colours vanish in the background, lighter ones in white matter or bone, greys anywhere.
LIGHTNESS = (0.45, 0.90)
LEAST_CHROMA = 0.09
LEAST_CHROMA_SEEN = 0.025  # by anyone
CALM = 0.23  # chroma of the colours to choose from, at most
GREY = 0.03  # chroma of a colour without a hue, at most
APART = 0.10  # asked for first; two colours at 0.02 are hard to tell apart side by side
EASE = 0.9  # each further try asks for this share of it
STEP = 15  # of 255, between the colours to choose from


def oklab(colors: Sequence[Color] | Color | np.ndarray, vision: str = "normal") -> np.ndarray:
    """Returns colours in OKLab, where equal distances look equally different: `(..., 3)`, lightness 0 to 1, a, b.

    Args:
        colors: RGB, 0 to 255, `(..., 3)`.
        vision: Who sees them; one of `VISIONS`.

    Example:
        >>> oklab([(255, 255, 255), (0, 0, 0)]).round(2).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    share = np.asarray(colors, "float64") / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    seen = np.clip(linear @ VISIONS[vision].T, 0, 1)
    return np.cbrt(seen @ TO_CONES.T) @ TO_OKLAB.T


def difference(first: Sequence[Color] | Color | np.ndarray, second: Sequence[Color] | Color | np.ndarray) -> np.ndarray:
    """Returns how different colours look to whoever sees the least difference, as a distance in OKLab.

    Args:
        first: RGB, 0 to 255, `(..., 3)`.
        second: The same; shapes are broadcast.

    Example:
        >>> red, green, blue = (220, 60, 40), (90, 130, 30), (40, 80, 230)
        >>> bool(difference(red, green) < difference(red, blue))
        True
    """
    distances = [np.linalg.norm(oklab(first, vision) - oklab(second, vision), axis=-1) for vision in VISIONS]
    return np.min(distances, axis=0)


def is_visible_on_grey(colors: Sequence[Color] | np.ndarray) -> np.ndarray:
    """Returns which colours stand out from every grey of a scan, and from a black background.

    Args:
        colors: RGB, 0 to 255, `(..., 3)`.

    Example:
        >>> is_visible_on_grey([(220, 60, 40), (245, 245, 245), (60, 60, 60), (30, 0, 30)]).tolist()
        [True, False, False, False]
    """
    lightness, *_ = np.moveaxis(oklab(colors), -1, 0)
    chroma = [_chroma(colors, vision) for vision in VISIONS]
    is_light = (lightness >= LIGHTNESS[0]) & (lightness <= LIGHTNESS[1])
    return is_light & (chroma[0] >= LEAST_CHROMA) & (np.min(chroma, axis=0) >= LEAST_CHROMA_SEEN)


def told_apart(colors: Sequence[Color]) -> list[Color]:
    """Returns colours that can be told apart on a scan in grey, each as near as possible to the one that it stands for.

    Colours that are visible and differ from those before them stay. Each other one becomes the nearest colour that is
    visible and differs from all. How much they differ depends on their number: the more, the less.

    Args:
        colors: RGB, 0 to 255.

    Example:
        >>> told_apart([(220, 60, 40), (86, 180, 233)])
        [(220, 60, 40), (86, 180, 233)]
        >>> told_apart([(255, 255, 255)]) == [(255, 255, 255)]  # white as in white matter
        False
    """
    wanted = np.asarray(colors, "float64").reshape(-1, 3)
    choice = np.concatenate([wanted, _palette()])
    seen = np.stack([oklab(choice, vision) for vision in VISIONS])
    apart, found = APART, None
    while found is None:
        found = _placed(seen, is_visible_on_grey(wanted), apart)
        apart *= EASE
    return [tuple(color) for color in choice[np.array(found, int)].astype(int).tolist()]


def _palette():
    """Returns the colours to choose from."""
    levels = np.arange(0, 256, STEP)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[is_visible_on_grey(grid) & (_chroma(grid) <= CALM)]


def _placed(seen, visible, apart):
    """Returns for each wanted colour the index of the one it becomes, all of them apart; None if there is no room.

    Args:
        seen: Colours in OKLab as each vision sees them, `(visions, colours, 3)`: first those wanted, then others.
        visible: Which of the wanted ones are visible on a scan.
        apart: How much any two must differ.
    """
    is_free, placed = np.ones(seen.shape[1], bool), {}
    is_free[: visible.size] = visible

    def place(index, color):
        placed[index] = color
        is_free[np.linalg.norm(seen - seen[:, color, None], axis=-1).min(axis=0) < apart] = False

    for index in np.flatnonzero(visible).tolist():
        if is_free[index]:
            place(index, index)
    is_free[: visible.size] = False
    is_grey = np.linalg.norm(seen[0, :, 1:], axis=-1) < GREY
    # Most greys are large (white matter, bone, fluid), so they choose before the others.
    for index in sorted(set(range(visible.size)) - set(placed), key=lambda index: not is_grey[index]):
        if not is_free.any():
            return None
        change = np.linalg.norm(seen[0] - seen[0, index], axis=-1)
        place(index, int(np.where(is_free, change, np.inf).argmin()))
    return [placed[index] for index in range(visible.size)]


def _chroma(colors, vision="normal"):
    return np.linalg.norm(oklab(colors, vision)[..., 1:], axis=-1)
