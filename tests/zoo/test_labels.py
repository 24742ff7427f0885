import pytest

from recalib_keras.zoo import Label, RecordError
from recalib_keras.zoo.labels import check_labels, counterpart_classes

BACKGROUND, LEFT, RIGHT = Label(0, "background"), Label(17, "left", mirror=53), Label(53, "right", mirror=17)


def test_classes_of_the_two_sides_change_places():
    assert counterpart_classes((BACKGROUND, LEFT, RIGHT, Label(4, "ventricle"))) == (0, 2, 1, 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((BACKGROUND, LEFT), r"17 \('left'\), whose mirror 53 is not a label; correct `mirror` of the labels"),
        ((BACKGROUND, LEFT, Label(53, "right")), r"17 \('left'\), whose mirror 53 has the mirror 53"),
        (
            (BACKGROUND, LEFT, RIGHT, Label(54, "third", mirror=17)),
            r"54 \('third'\), whose mirror 17 has the mirror 53",
        ),
    ],
)
def test_sides_that_do_not_name_each_other(labels, message):
    with pytest.raises(RecordError, match="name each other as `mirror`, got " + message):
        counterpart_classes(labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((BACKGROUND, LEFT, Label(17, "right")), "expected labels that differ in id, got 17 more than once"),
        ((BACKGROUND, LEFT, Label(53, "left")), "expected labels that differ in name, got 'left' more than once"),
        (
            (LEFT, RIGHT, BACKGROUND),
            r"expected the background as the first of the labels, got 17 \('left'\); put 0 \('background'\) first",
        ),
        (
            (LEFT, Label(0, "nothing")),
            r"expected the background as the first of the labels, got 17 \('left'\); put 0 \('nothing'\) first",
        ),
        ((LEFT, Label(5, "background")), r"put 5 \('background'\) first"),
    ],
)
def test_labels_that_cannot_be_told_apart(labels, message):
    with pytest.raises(RecordError, match=message):
        check_labels(labels)


@pytest.mark.parametrize(
    "labels", [(BACKGROUND, LEFT, RIGHT), (Label(5, "background"), LEFT), (Label(0, "nothing"), LEFT)]
)
def test_labels_that_can(labels):
    check_labels(labels)
