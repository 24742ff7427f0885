import numpy as np
import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.inference.structure_choice import choose_structures, restricted
from recalib_keras.zoo import Label

LABELS = (
    Label(0, "background"),
    Label(4, "left lateral ventricle"),
    Label(5, "left inferior lateral ventricle"),
    Label(14, "3rd ventricle"),
    Label(17, "left hippocampus"),
    Label(43, "right lateral ventricle"),
    Label(53, "right hippocampus"),
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["hippocampus"], [17, 53]),
        (["left hippocampus"], [17]),
        (["Left-Hippocampus", "right_hippocampus"], [17, 53]),
        (["lateral ventricle"], [4, 43]),
        (["*ventricle*"], [4, 5, 14, 43]),
        (["left *"], [4, 5, 17]),
        ([53, "14"], [14, 53]),
        (["3rd ventricle", "3rd ventricle"], [14]),
    ],
)
def test_names_numbers_and_patterns(wanted, expected):
    assert [label.id for label in choose_structures(LABELS, wanted)] == expected


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["hipocampus"], "got 'hipocampus'; did you mean 'hippocampus'"),
        (["hippocampus", "99"], "got '99'"),
        (["0"], "got '0'"),
        (["background"], "got 'background'"),
        (["x*"], r"got 'x\*'; known: lateral ventricle, inferior lateral ventricle, 3rd ventricle, hippocampus"),
        ([], "structures to choose, got none"),
    ],
)
def test_what_fits_nothing(wanted, message):
    with pytest.raises(RecordError, match=message):
        choose_structures(LABELS, wanted)


def test_voxels_of_others_become_the_chosen_structure_around_them_or_background():
    labels = (
        Label(0, "background"),
        Label(1, "whole", includes=(2, 3)),
        Label(2, "core", includes=(3,)),
        Label(3, "x"),
    )
    array = np.arange(4)
    for wanted, expected in ((["whole"], [0, 1, 1, 1]), (["core"], [0, 0, 2, 2]), (["whole", "x"], [0, 1, 1, 3])):
        chosen = choose_structures(labels, wanted)
        assert restricted(array, labels, chosen).tolist() == expected
    assert [label.includes for label in choose_structures(labels, ["whole", "x"])] == [(3,), None]
