"""Labels that include others."""

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.zoo import Input, Label, Network, WeightSet
from recalib_keras.zoo.labels import check_labels, region_classes

BACKGROUND, ENHANCING = Label(0, "background"), Label(4, "enhancing")
WHOLE, CORE = Label(2, "whole", includes=(1, 4)), Label(1, "core", includes=(4,))


def test_numbers_and_classes():
    labels = (BACKGROUND, WHOLE, CORE, ENHANCING)
    check_labels(labels)
    assert [label.numbers for label in labels] == [(0,), (2, 1, 4), (1, 4), (4,)]
    assert region_classes(labels) == ((1, 2, 3), (2, 3), (3,))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((BACKGROUND, CORE, WHOLE, ENHANCING), r"expected labels after 2 \('whole'\) in its `includes`, got 1; order"),
        (
            (BACKGROUND, CORE),
            r"expected labels after 1 \('core'\) in its `includes`, got 4; order labels from the outer",
        ),
        ((BACKGROUND, Label(2, "whole", includes=(1,)), CORE, ENHANCING), "got it without 4; add 4"),
        ((Label(0, "background", includes=(4,)), ENHANCING), "expected a background that includes no other label"),
    ],
)
def test_labels_that_cannot_be_nested(labels, message):
    with pytest.raises(RecordError, match=message):
        check_labels(labels)


def test_labels_that_include_others_need_a_sigmoid():
    arguments = (Input((8, 8, 8)), (BACKGROUND, WHOLE, CORE, ENHANCING), "x.safetensors", "", 0)
    with pytest.raises(
        RecordError, match=r"expected `classifier_activation` 'sigmoid' for labels .*whole, core.*got 's"
    ):
        WeightSet("tumours", Network("UNet"), *arguments)
    described = WeightSet("tumours", Network("UNet", {"classifier_activation": "sigmoid"}), *arguments)
    assert described.network.num_classes(described.labels) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": ()}, "expected `channels` to be names that differ, at least one, got"),
        ({"channels": ("T1", "T1")}, r"expected `channels` to be names that differ, at least one, got \('T1', 'T1'\)"),
        ({"channels": ("T1", "<b>")}, "expected the name of a channel to be one line"),
        ({"channels": ("T1", "T2"), "normalization": ("ct",)}, "one for each of 2 channels, got"),
        ({"channels": ("T1", "T2"), "normalization": ("ct", "zscor")}, "got 'zscor'; did you mean 'zscore'"),
        ({"normalization": ("ct", "ct")}, "one for each of 1 channel, got"),
    ],
)
def test_channels_that_are_none(arguments, message):
    with pytest.raises(RecordError, match=message):
        Input((8, 8, 8), **arguments)


def test_shape_of_channels_and_slices():
    expects = Input((1, 8, 6), context=1, channels=("T1", "T2"), normalization=("zscore", "ct"))
    assert (expects.shape, expects.normalizations) == ((8, 6, 6), ("zscore", "ct"))
    assert Input((4, 8, 6), channels=("T1", "T2")).normalizations == ("zscore", "zscore")
