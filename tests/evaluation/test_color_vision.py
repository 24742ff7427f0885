import itertools

import numpy as np
import pytest

from recalib_keras.core.colors import FIRST_COLORS, distinct_color
from recalib_keras.evaluation.figures.color_vision import VISIONS, difference, is_visible_on_grey, oklab, told_apart

# Of FreeSurfer's table: white matter, fluid, cortex, left pallidum, cerebellum cortex and accumbens (two oranges).
FREESURFER = [(245, 245, 245), (60, 60, 60), (205, 62, 78), (12, 48, 255), (230, 148, 34), (255, 165, 0)]


@pytest.mark.parametrize(
    ("color", "expected"),
    [  # from the page of OKLab's author: CSS's values of red, lime and blue
        ((255, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 255, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 255), (0.45201, -0.03246, -0.31153)),
        ((128, 128, 128), (0.59987, 0.0, 0.0)),
    ],
)
def test_oklab(color, expected):
    assert oklab(color) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("vision", VISIONS)
def test_greys_look_the_same_to_everyone(vision):
    greys = [(level,) * 3 for level in (0, 30, 128, 255)]
    np.testing.assert_allclose(oklab(greys, vision), oklab(greys), atol=5e-3)


def test_difference_is_that_of_the_worst_vision():
    red, green = (200, 80, 60), (110, 125, 50)
    assert np.linalg.norm(oklab(red) - oklab(green)) > 0.15 > 2 * difference(red, green)
    assert difference(red, red) == 0
    assert difference([red, green, red], green).shape == (3,)


def test_colours_that_are_visible_and_differ_stay():
    assert told_apart(FIRST_COLORS[:2]) == list(FIRST_COLORS[:2])
    assert told_apart([]) == []


def test_colours_of_the_table_become_visible_and_distinct():
    shown = told_apart(FREESURFER)
    assert is_visible_on_grey(shown).all()
    before, after = (
        min(float(difference(*pair)) for pair in itertools.combinations(colors, 2)) for colors in (FREESURFER, shown)
    )
    assert before < 0.06 and after >= 0.09
    assert shown[2] == FREESURFER[2] and shown[4] == FREESURFER[4]  # they were visible and distinct
    # The pallidum stays blue: nearer to its own colour than to any other of the table.
    moved = np.linalg.norm(oklab(FREESURFER) - oklab(shown[3]), axis=-1)
    assert moved.argmin() == 3


@pytest.mark.parametrize("background", [(0, 0, 0), (60, 60, 60), (150, 150, 150), (235, 235, 235)])
def test_shown_colours_stand_out_from_the_greys_of_a_scan(background):
    assert min(np.linalg.norm(oklab(color) - oklab(background)) for color in told_apart(FREESURFER)) > 0.08


def test_equal_colours_become_different():
    first, *others = told_apart([(230, 148, 34)] * 5)
    assert first == (230, 148, 34) and len({first, *others}) == 5


def test_many_colours_differ_as_far_as_there_is_room():
    shown = told_apart([distinct_color(index) for index in range(120)])
    assert len(set(shown)) == 120 and is_visible_on_grey(shown).all()
