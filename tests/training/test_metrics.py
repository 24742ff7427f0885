"""The Dice while a network is fitted."""

import keras
import numpy as np
import pytest

from recalib_keras import models
from recalib_keras.training import DiceCrossEntropy, MeanDice


def dice(truth, probabilities, **arguments):
    metric = MeanDice(**arguments)
    metric.update_state(np.asarray(truth), np.asarray(probabilities, "float32"))
    return float(keras.ops.convert_to_numpy(metric.result()))


def test_most_probable_classes():
    truth = np.array([0, 1, 1, 2]).reshape(1, 4, 1, 1)
    found = np.eye(4)[[0, 1, 0, 1]].reshape(1, 4, 1, 4)  # class 2 is missed, class 3 is in neither
    assert dice(truth, found, num_structures=3) == pytest.approx((2 * 1 / (2 + 2) + 0) / 2)


def test_structures_above_one_half_and_regions():
    truth = np.array([0, 1, 2, 2]).reshape(1, 4, 1, 1)
    found = np.array([[0.6, 0.1], [0.9, 0.2], [0.9, 0.8], [0.9, 0.4]]).reshape(1, 4, 1, 2)
    expected = (2 * 3 / (3 + 4) + 2 * 1 / (2 + 1)) / 2
    arguments = {"num_structures": 2, "activation": "sigmoid", "regions": [(1, 2), (2,)]}
    assert dice(truth, found, **arguments) == pytest.approx(expected)


def test_a_single_structure_is_above_one_half_whatever_the_activation():
    truth, found = np.array([0, 1, 1, 0]).reshape(1, 4, 1, 1), np.array([0.1, 0.9, 0.4, 0.7]).reshape(1, 4, 1, 1)
    assert dice(truth, found, num_structures=1) == pytest.approx(2 * 1 / (2 + 2))


def test_what_is_unknown_does_not_count():
    truth = np.array([1, 1, 3, 4]).reshape(1, 4, 1, 1)  # 3: anything; 4: background or class 2
    found = np.eye(3)[[1, 0, 1, 2]].reshape(1, 4, 1, 3)
    assert dice(truth, found, num_structures=2, label_sets=[(0, 1, 2), (0, 2)]) == pytest.approx(2 / 3)
    assert dice(np.full((1, 4, 1, 1), 3), found, num_structures=2, label_sets=[(0, 1, 2)]) == 0


@pytest.mark.slow
def test_it_is_shown_by_fit_and_sums_over_batches():
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    truth = (images > 0.5).astype("uint8")
    keras.utils.set_random_seed(0)
    model = models.UNet((8, 8, 1), num_classes=1, levels=1, filters=4)
    model.compile(keras.optimizers.Adam(0.02), DiceCrossEntropy(activation="sigmoid"), metrics=[MeanDice(1, "sigmoid")])
    history = model.fit(images, truth, epochs=12, batch_size=2, verbose=0).history
    assert history["dice"][-1] > history["dice"][0]
    found = keras.ops.convert_to_numpy(model.predict_on_batch(images)) > 0.5
    expected = 2 * (found & (truth > 0)).sum() / (found.sum() + truth.sum())
    assert model.evaluate(images, truth, batch_size=3, verbose=0, return_dict=True)["dice"] == pytest.approx(expected)


def test_config_round_trip_and_errors():
    metric = MeanDice(2, "sigmoid", label_sets=[(0, 1)], regions=[(1, 2), (2,)])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.get_config() == metric.get_config()
    with pytest.raises(ValueError, match="expected `activation` to be one of softmax, sigmoid, got 'relu'"):
        MeanDice(2, "relu")
    with pytest.raises(ValueError, match="expected no `sample_weight` for a Dice"):
        metric.update_state(np.zeros((1, 1, 1)), np.zeros((1, 1, 2)), sample_weight=np.ones(1))


@pytest.mark.parametrize("number", [-1, 4])
def test_a_number_that_is_no_code_makes_it_nan(number):
    metric = MeanDice(2, "sigmoid", label_sets=[(0, 1)], regions=[(1, 2), (2,)])
    codes, found = np.array([[[0], [1], [2], [3]]]), np.full((1, 4, 2), 0.7, "float32")
    metric.update_state(codes, found)
    assert np.isfinite(float(metric.result()))
    metric.update_state(np.where(codes == 3, number, codes), found)
    assert np.isnan(float(metric.result()))
