import pytest

from recalib_keras.training.data.mirror import Mirror
from recalib_keras.zoo import Input, Label

LABELS = (Label(0, "background"), Label(4, "left", mirror=9), Label(9, "right", mirror=4), Label(5, "middle"))


@pytest.mark.parametrize(
    ("window", "orientation", "axis"),
    [
        ((8, 8, 8), "RAS", 0),
        ((8, 8, 8), "PIL", 2),
        ((8, 8, 1), "RAS", 0),
        ((8, 1, 8), "RAS", 0),
        ((8, 1, 8), "SAL", 1),
        ((1, 8, 8), "ASL", 1),
        ((1, 8, 8), "SRA", 0),
    ],
)
def test_a_mirror_turns_the_axis_of_left_and_right(window, orientation, axis):
    assert Mirror.of(Input(window, orientation), LABELS) == Mirror(axis, (0, 2, 1, 3))


def test_without_pairs_a_mirror_leaves_the_classes():
    assert Mirror.of(Input((8, 8, 8)), (LABELS[0], LABELS[3])) == Mirror(0, None)


@pytest.mark.parametrize(("window", "orientation"), [((1, 8, 8), "RAS"), ((8, 1, 8), "SLA")])
def test_sagittal_slices_have_no_mirror(window, orientation):
    assert Mirror.of(Input(window, orientation), LABELS) is None
