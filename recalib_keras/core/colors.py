"""Colours that are easy to tell apart."""

import colorsys

Color = tuple[int, int, int]

BLACK: Color = (0, 0, 0)
# Okabe & Ito, "Color universal design", 2008: these colours differ for any kind of colour vision. Their yellow is too
# pale for lines on white, their black too dark for outlines on a scan.
FIRST_COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (0, 114, 178), (204, 121, 167))
GOLDEN_RATIO = 0.618034  # steps of this share of the colour circle never come near each other


def distinct_color(index: int) -> Color:
    """Returns a colour (RGB, 0 to 255) of a series: six for any colour vision, then around the colour circle.

    Args:
        index: Place in the series, from 0.

    Example:
        >>> distinct_color(0), distinct_color(6)
        ((230, 159, 0), (230, 57, 57))
    """
    if index < len(FIRST_COLORS):
        return FIRST_COLORS[index]
    turn = index - len(FIRST_COLORS)
    # Each circle is a little darker or paler than the one before.
    saturation, value = ((0.75, 0.9), (0.45, 0.95), (0.85, 0.65))[turn % 3]
    red, green, blue = colorsys.hsv_to_rgb(turn * GOLDEN_RATIO % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
