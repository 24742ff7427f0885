"""The loss where something is unknown, and that of structures with probabilities of their own."""

import keras
import numpy as np
import pytest

from recalib_keras import models
from recalib_keras.datasets import LabelledScan
from recalib_keras.training import DiceCrossEntropy
from recalib_keras.training.losses.label_sets import LabelSets, known_classes
from recalib_keras.zoo.labels import Label, region_classes

# Three classes; 3: anything (nobody looked); 4: background or class 2 (nobody looked for class 2).
ANYTHING, BACKGROUND_OR_TWO = 3, 4
SETS = [(0, 1, 2), (0, 2)]
WHOLE_AND_CORE = [(1, 2), (2,)]


def loss(truth, probabilities, **arguments):
    value = DiceCrossEntropy(**arguments)(np.asarray(truth), np.asarray(probabilities, "float32"))
    return float(keras.ops.convert_to_numpy(value))


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def gradient(truth, logits, **arguments):
    """Returns the gradient of the loss by the logits, from the step of plain gradient descent on a bias per value."""
    shape = logits.shape[1:]
    activation = arguments.get("activation", "softmax")
    image = keras.Input((1,))
    flat = keras.layers.Dense(int(np.prod(shape)), use_bias=False, name="logits")(image)
    model = keras.Model(image, keras.layers.Activation(activation)(keras.layers.Reshape(shape)(flat)))
    model.get_layer("logits").set_weights([logits.reshape(1, -1)])
    model.compile(keras.optimizers.SGD(1.0), DiceCrossEntropy(**arguments), jit_compile=False)
    model.train_on_batch(np.ones((1, 1), "float32"), truth)
    return (logits.reshape(1, -1) - model.get_layer("logits").get_weights()[0]).reshape(logits.shape)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_voxels_that_nobody_looked_at_are_as_if_they_were_not_there(activation, rng):
    outputs = 3 if activation == "softmax" else 2
    truth = rng.integers(0, 3, (1, 10, 1, 1))
    probabilities = rng.uniform(0.1, 0.9, (1, 10, 1, outputs))
    probabilities /= probabilities.sum(-1, keepdims=True) if activation == "softmax" else 1
    ignoring = truth.copy()
    ignoring[:, 6:] = ANYTHING
    arguments = {"activation": activation, "label_sets": SETS}
    expected = loss(truth[:, :6], probabilities[:, :6], activation=activation)
    assert loss(ignoring, probabilities, **arguments) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_gradients_are_zero_where_nothing_is_known(activation, rng):
    truth = rng.integers(0, 3, (1, 8, 1, 1))
    truth[:, 4:] = ANYTHING
    logits = rng.normal(size=(1, 8, 1, 3 if activation == "softmax" else 2)).astype("float32")
    found = gradient(truth, logits, activation=activation, label_sets=SETS)
    assert (found[:, 4:] == 0).all() and (found[:, :4] != 0).all()
    nothing = gradient(np.full_like(truth, ANYTHING), logits, activation=activation, label_sets=SETS)
    assert (nothing == 0).all()


def test_the_share_of_background_and_an_unknown_class_does_not_matter(rng):
    """Moving probability between them changes neither the loss nor, therefore, the weights."""
    truth = np.array([1, 1, BACKGROUND_OR_TWO, BACKGROUND_OR_TWO]).reshape(1, 4, 1, 1)
    probabilities = softmax(rng.normal(size=(1, 4, 1, 3)))
    moved = probabilities.copy()
    moved[:, 2:, :, 0], moved[:, 2:, :, 2] = 0.3 * probabilities[:, 2:, :, 2], 0.0
    moved[:, 2:, :, 2] = probabilities[:, 2:, :, [0, 2]].sum(-1) - moved[:, 2:, :, 0]
    assert loss(truth, moved, label_sets=SETS) == pytest.approx(loss(truth, probabilities, label_sets=SETS), rel=1e-5)
    # The gradient pushes the two logits by shares of their own probabilities: their difference is not learned.
    found = gradient(truth, np.log(probabilities).astype("float32"), label_sets=SETS, dice_weight=0.0)[0, 2:, 0]
    np.testing.assert_allclose(found[:, 0] / found[:, 2], (probabilities[0, 2:, 0, 0] / probabilities[0, 2:, 0, 2]),
                               rtol=1e-4)  # fmt: skip


def test_the_marginal_cross_entropy_and_dice_by_hand():
    truth = np.array([1, BACKGROUND_OR_TWO, 2, ANYTHING]).reshape(1, 4, 1, 1)
    probabilities = np.array([[0.2, 0.5, 0.3], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]).reshape(1, 4, 1, 3)
    cross_entropy = -(np.log(0.5) + np.log(0.5 + 0.2) + np.log(0.8)) / 3
    dice_of_one = 2 * 0.5 / (1 + 0.5 + 0.3 + 0.1)  # known in the first three voxels
    dice_of_two = 2 * 0.8 / (1 + 0.3 + 0.8)  # unknown in the second
    expected = cross_entropy + 1 - (dice_of_one + dice_of_two) / 2
    assert loss(truth, probabilities, label_sets=SETS) == pytest.approx(expected, rel=1e-5)


def test_an_unknown_class_that_no_voxel_has_is_in_no_dice(rng):
    truth = np.array([1, BACKGROUND_OR_TWO]).reshape(1, 2, 1, 1)
    logits = rng.normal(size=(1, 2, 1, 3)).astype("float32")
    found = gradient(truth, logits, label_sets=SETS, cross_entropy_weight=0.0)[0, :, 0]
    # Only class 1 has a Dice: logits 0 and 2 feel it through the softmax alone, by their own probabilities.
    p = softmax(logits)[0, :, 0]
    np.testing.assert_allclose(found[:, 0] / found[:, 2], p[:, 0] / p[:, 2], rtol=1e-4)


def test_regions_of_a_sigmoid_by_hand():
    """Whole = classes 1 and 2, core = class 2; 4 is background or core, so neither output is known there."""
    truth = np.array([0, 1, 2, BACKGROUND_OR_TWO]).reshape(1, 4, 1, 1)
    whole, core = np.array([0.1, 0.7, 0.8, 0.9]), np.array([0.2, 0.4, 0.6, 0.9])
    probabilities = np.stack([whole, core], -1).reshape(1, 4, 1, 2)
    terms = [0.9, 0.7, 0.8, 1 - 0.2, 1 - 0.4, 0.6]
    dice = [2 * (0.7 + 0.8) / (2 + 0.1 + 0.7 + 0.8), 2 * 0.6 / (1 + 0.2 + 0.4 + 0.6)]
    expected = -np.mean(np.log(terms)) + 1 - np.mean(dice)
    arguments = {"activation": "sigmoid", "label_sets": SETS, "regions": WHOLE_AND_CORE}
    assert loss(truth, probabilities, **arguments) == pytest.approx(expected, rel=1e-5)


def test_nothing_is_learnt_of_a_core_that_nobody_looked_for(rng):
    """The whole was looked for: each of its voxels may lie in the core, and each of the others lies in neither."""
    labels = (Label(0, "background"), Label(1, "whole", includes=(2,)), Label(2, "core"))
    scan = LabelledScan("a", "i", "l", annotated=(1,))
    sets = LabelSets.of([scan], labels)
    codes = sets.coded(np.array([1, 1, 0, 0]).reshape(1, 4, 1, 1), [known_classes(scan, labels)])
    logits = rng.normal(size=(1, 4, 1, 2)).astype("float32")
    arguments = {"activation": "sigmoid", "label_sets": sets.sets, "regions": region_classes(labels)}
    found = gradient(codes, logits, **arguments)[0, :, 0]
    assert (found[:, 0] != 0).all() and (found[:2, 1] == 0).all() and (found[2:, 1] != 0).all()


def test_truth_of_several_structures_at_once():
    codes = np.array([0, 1, 2, BACKGROUND_OR_TWO]).reshape(1, 4, 1, 1)
    each = np.array([[0, 0], [1, 0], [1, 1], [-1, -1]]).reshape(1, 4, 1, 2)
    probabilities = np.random.default_rng(0).uniform(0.1, 0.9, (1, 4, 1, 2))
    by_code = loss(codes, probabilities, activation="sigmoid", label_sets=SETS, regions=WHOLE_AND_CORE)
    assert loss(each, probabilities, activation="sigmoid") == pytest.approx(by_code, rel=1e-6)


def test_a_binary_sigmoid_is_binary_cross_entropy_and_dice(rng):
    truth, probabilities = rng.integers(0, 2, (2, 5, 4, 1)), rng.uniform(0.05, 0.95, (2, 5, 4, 1))
    cross_entropy = -np.where(truth, np.log(probabilities), np.log(1 - probabilities)).mean()
    dice = 2 * (truth * probabilities).sum() / (truth.sum() + probabilities.sum())
    for activation in ("sigmoid", "softmax"):  # the only output of a network has a sigmoid, whatever was asked for
        assert loss(truth, probabilities, activation=activation) == pytest.approx(cross_entropy + 1 - dice, rel=1e-5)


def test_of_many_batches_it_is_that_of_one(rng):
    truth, probabilities = rng.integers(0, 5, (5, 6, 7, 1)), softmax(rng.normal(size=(5, 6, 7, 3)))
    batches = [(truth[part], probabilities[part]) for part in (slice(0, 2), slice(2, 5))]
    found = DiceCrossEntropy(label_sets=SETS).of_all(batches)
    assert found["loss"] == pytest.approx(loss(truth, probabilities, label_sets=SETS), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"activation": "sigmoid"}, {}], ids=str)
def test_a_binary_network_learns(arguments):
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    keras.utils.set_random_seed(0)
    model = models.UNet((8, 8, 1), num_classes=1, levels=1, filters=4)
    model.compile(keras.optimizers.Adam(0.02), DiceCrossEntropy(**arguments))
    losses = model.fit(images, (images > 0.5).astype("uint8"), epochs=25, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]


def test_config_round_trip():
    ours = DiceCrossEntropy(activation="sigmoid", label_sets=SETS, regions=WHOLE_AND_CORE)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ours))
    assert again.get_config() == ours.get_config() and again.regions == ((1, 2), (2,))


def test_errors():
    with pytest.raises(ValueError, match="expected `activation` to be one of softmax, sigmoid, got 'relu'"):
        DiceCrossEntropy(activation="relu")
    with pytest.raises(ValueError, match=r"expected sets of two or more of the classes 0 to 2, got \(0, 5\)"):
        loss(np.zeros((1, 1, 1, 1), int), np.full((1, 1, 1, 3), 1 / 3), label_sets=[(0, 5)])
