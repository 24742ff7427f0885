import keras
import numpy as np
import pytest

from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy, class_weights


def formula(truth, probabilities, dice_weight=1.0, cross_entropy_weight=1.0, class_weights=None):
    """The loss, a sum over classes and voxels at a time."""
    truth, dice = truth[..., 0].astype(int), []
    for index in range(1, probabilities.shape[-1]):
        p, t = probabilities[..., index], truth == index
        if t.any():
            dice.append(2 * (p * t).sum() / (p.sum() + t.sum()))
    of_truth = np.take_along_axis(probabilities, truth[..., None], axis=-1)[..., 0]
    weights = 1.0 if class_weights is None else np.array(class_weights)[truth]
    dice_loss = 1 - np.mean(dice) if dice else 0.0
    return dice_weight * dice_loss - cross_entropy_weight * (weights * np.log(of_truth)).mean()


def weighted_formula(truth, probabilities, weights):
    """The loss with a weight for each voxel, a class at a time."""
    truth, weights, dice = truth[..., 0], np.broadcast_to(weights, truth.shape[:-1]), []
    for index in range(1, probabilities.shape[-1]):
        p, t = weights * probabilities[..., index], weights * (truth == index)
        if t.any():
            dice.append(2 * (p * (truth == index)).sum() / (p.sum() + t.sum()))
    of_truth = np.take_along_axis(probabilities, truth[..., None], axis=-1)[..., 0]
    return weights.mean() * (1 - np.mean(dice)) - (weights * np.log(of_truth)).mean()


def loss(truth, probabilities, **kwargs):
    return float(keras.ops.convert_to_numpy(DiceCrossEntropy(**kwargs)(truth, probabilities)))


def softmax(logits):
    return (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype("float32")


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.mark.parametrize("spatial", [(7, 6), (5, 4, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"cross_entropy_weight": 0.3},
        {"dice_weight": 0.0, "class_weights": [0.1, 1.0, 2.0, 0.0]},
        {"dice_weight": 2.0, "cross_entropy_weight": 0.0},
    ],
    ids=str,
)
def test_is_the_formula(spatial, dtype, arguments, rng):
    truth = rng.integers(0, 4, (2, *spatial, 1)).astype(dtype)
    probabilities = softmax(rng.normal(size=(2, *spatial, 4)))
    assert loss(truth, probabilities, **arguments) == pytest.approx(
        formula(truth, probabilities, **arguments), rel=1e-5
    )


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (3, {}),
        (-1, {}),
        (255, {"cross_entropy_weight": 0.0}),
        (3, {"activation": "sigmoid"}),
        (4, {"label_sets": [(0, 1, 2)]}),
        (4, {"activation": "sigmoid", "label_sets": [(0, 1)], "regions": [(1, 2), (2,)]}),
    ],
    ids=str,
)
def test_a_number_that_is_no_class_makes_it_nan(number, arguments, rng):
    outputs = 2 if "activation" in arguments else 3
    truth, probabilities = rng.integers(0, 3, (2, 4, 4, 1)), softmax(rng.normal(size=(2, 4, 4, outputs)))
    assert np.isfinite(loss(truth, probabilities, **arguments))
    truth[0, 1, 2] = number
    assert np.isnan(loss(truth, probabilities, **arguments))


@pytest.mark.parametrize("arguments", [{}, {"dice_weight": 0.5, "class_weights": [0.1, 1.0, 2.0]}], ids=str)
def test_of_many_batches_it_is_that_of_one(arguments, rng):
    truth = rng.integers(0, 3, (5, 6, 7, 1))
    probabilities = softmax(rng.normal(size=(5, 6, 7, 3)))
    batches = [(truth[part], probabilities[part]) for part in (slice(0, 2), slice(2, 3), slice(3, 5))]
    found = DiceCrossEntropy(**arguments).of_all(batches)
    terms = {"dice_loss": {"cross_entropy_weight": 0.0}, "cross_entropy": {"dice_weight": 0.0}}
    assert found["loss"] == pytest.approx(formula(truth, probabilities, **arguments), rel=1e-5)
    for term, alone in terms.items():
        whole = {"class_weights": arguments.get("class_weights")} | {"dice_weight": 1.0, **alone}
        assert found[term] == pytest.approx(formula(truth, probabilities, **whole), rel=1e-5)


def test_a_class_that_is_absent(rng):
    truth = rng.integers(0, 2, (2, 6, 6, 1))
    probabilities = softmax(rng.normal(size=(2, 6, 6, 3)))
    assert loss(truth, probabilities) == pytest.approx(formula(truth, probabilities), rel=1e-5)
    # What is found of it costs no Dice, whether much or little.
    without = np.stack([probabilities[..., 0] + probabilities[..., 2], probabilities[..., 1], np.zeros((2, 6, 6))], -1)
    dice_alone = {"cross_entropy_weight": 0.0}
    assert loss(truth, probabilities, **dice_alone) == pytest.approx(loss(truth, without, **dice_alone), rel=1e-5)


def test_background_alone_costs_cross_entropy_alone(rng):
    truth, probabilities = np.zeros((1, 6, 6, 1), "uint8"), softmax(rng.normal(size=(1, 6, 6, 3)))
    assert loss(truth, probabilities, cross_entropy_weight=0.0) == 0
    assert loss(truth, probabilities) == pytest.approx(-np.log(probabilities[..., 0]).mean(), rel=1e-5)


def test_values_by_hand():
    truth = np.array([0, 1]).reshape(1, 2, 1, 1)
    certain = np.eye(2, dtype="float32").reshape(1, 2, 1, 2)
    assert loss(truth, certain) == pytest.approx(0, abs=1e-5)
    undecided = np.full((1, 2, 1, 2), 0.5, "float32")
    assert loss(truth, undecided) == pytest.approx(1 - 1 / 2 + np.log(2), abs=1e-5)


def test_the_classes_are_summed_over_the_whole_batch(rng):
    truth = np.zeros((2, 4, 4, 1), "uint8")
    truth[0] = 1
    probabilities = softmax(rng.normal(size=(2, 4, 4, 2)))
    apart = np.mean([loss(truth[i : i + 1], probabilities[i : i + 1]) for i in range(2)])
    together = loss(truth, probabilities)
    assert together == pytest.approx(formula(truth, probabilities), rel=1e-5) and abs(together - apart) > 0.1


def test_half_precision_is_summed_in_full(rng):
    truth = rng.integers(0, 3, (1, 40, 40, 40, 1)).astype("uint8")
    probabilities = keras.ops.cast(softmax(rng.normal(size=(1, 40, 40, 40, 3))), "bfloat16")
    value = DiceCrossEntropy()(truth, probabilities)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    exact = formula(truth, keras.ops.convert_to_numpy(probabilities).astype("float64"))
    assert float(keras.ops.convert_to_numpy(value)) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("policy", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_trains_out_of_saturation(policy):
    """The gradient stays finite where probabilities are exactly 0 and 1, all wrong, and a class is absent."""
    truth = np.zeros((1, 4, 4, 1), "uint8")
    truth[:, :2] = 1
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Dense(3, dtype=policy), keras.layers.Softmax(dtype="float32")]
    )
    layer = model.layers[0]
    layer.set_weights([np.eye(3) * 200, np.zeros(3)])
    wrong = np.eye(3, dtype="float32")[1 - truth[..., 0]]
    model.compile(keras.optimizers.Adam(0.1), DiceCrossEntropy(), jit_compile=False)
    assert np.isfinite(model.fit(wrong, truth, verbose=0).history["loss"][0])
    assert all(np.isfinite(weights).all() for weights in layer.get_weights())

    layer.set_weights([np.eye(3), np.zeros(3)])
    losses = model.fit(wrong, truth, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_config_round_trip():
    loss = DiceCrossEntropy(dice_weight=2, cross_entropy_weight=0.5, class_weights=np.array([1, 2]), name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert isinstance(again, DiceCrossEntropy) and again.get_config() == loss.get_config()
    assert (again.dice_weight, again.class_weights, again.name) == (2, [1.0, 2.0], "mine")


def test_median_frequency_by_hand():
    maps = [np.array([0, 0, 0, 1]), np.array([[0, 0], [2, 2]])]
    # Class 0: 5 of 8 voxels; 1: 1 of the 4 of the map it is in; 2: 2 of 4. The median is 0.5.
    np.testing.assert_allclose(class_weights("median_frequency", maps, 4), [0.5 / 0.625, 2, 1, 0])


def test_inverse_frequency_by_hand():
    maps = [np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])]
    weights = class_weights("inverse_frequency", maps, 3)
    np.testing.assert_allclose(weights, [8 / 7 / 2, 8 / 2, 0])
    assert np.mean(weights[np.concatenate(maps)]) == pytest.approx(1)


def test_refuses_an_unknown_method():
    with pytest.raises(
        ValueError, match="expected `method` to be 'median_frequency' or 'inverse_frequency', got 'rare'"
    ):
        class_weights("rare", [np.array([0, 1])], 2)


@pytest.mark.parametrize("spatial", [(6, 7), (4, 3, 5)])
def test_labels_may_lack_the_last_axis(spatial, rng):
    truth, probabilities = rng.integers(0, 3, (2, *spatial, 1)), softmax(rng.normal(size=(2, *spatial, 3)))
    assert loss(truth[..., 0], probabilities) == loss(truth, probabilities)
    found, expected = (DiceCrossEntropy().of_all([(each, probabilities)]) for each in (truth[..., 0], truth))
    assert found == expected


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 6, 7), (3, 6, 7, 1)])
def test_weights_of_examples_and_of_voxels(shape, rng):
    truth, probabilities = rng.integers(0, 3, (3, 6, 7, 1)), softmax(rng.normal(size=(3, 6, 7, 3)))
    weights = rng.uniform(0, 2, shape)
    of_voxels = weights.reshape(3, *(shape[1:3] if len(shape) > 2 else (1, 1)))
    found = DiceCrossEntropy()(truth, probabilities, sample_weight=weights)
    assert float(found) == pytest.approx(weighted_formula(truth, probabilities, of_voxels), rel=1e-5)


def test_equal_weights_are_a_factor_and_zero_leaves_out(rng):
    truth, probabilities = rng.integers(0, 3, (4, 6, 7)), softmax(rng.normal(size=(4, 6, 7, 3)))
    weighted = DiceCrossEntropy()
    assert float(weighted(truth, probabilities, np.full(4, 2.0))) == pytest.approx(2 * loss(truth, probabilities))
    half = float(weighted(truth, probabilities, np.array([1.0, 1.0, 0.0, 0.0])))
    assert half == pytest.approx(0.5 * loss(truth[:2], probabilities[:2]))
    assert float(weighted(truth, probabilities, np.zeros(4))) == 0


@pytest.mark.parametrize("weights", [[3.0, 0.0], pytest.param([0.0, 3.0], marks=pytest.mark.slow)])
def test_fit_learns_from_the_examples_that_count(weights, rng):
    """One step by an example alone moves the weights as far as one of both with the other's weight at 0."""
    images, truth = rng.normal(size=(2, 4, 4, 1)).astype("float32"), rng.integers(0, 3, (2, 4, 4))
    chosen = int(np.argmax(weights))
    kernels = []
    for examples, weight in ((slice(None), np.array(weights)), (slice(chosen, chosen + 1), np.array([1.5]))):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 1, activation="softmax")])
        model.compile(keras.optimizers.SGD(1.0), DiceCrossEntropy())
        model.fit(images[examples], truth[examples], sample_weight=weight, verbose=0)
        kernels.append(model.get_weights()[0])
    np.testing.assert_allclose(*kernels, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("truth", "weights", "message"),
    [
        ((2, 6, 7, 3), None, r"expected `y_true` of shape .*got \(2, 6, 7, 3\); give the number of .* argmax"),
        ((2, 6), None, r"expected `y_true` of shape .*\(2, 6, 7, 3\), got \(2, 6\)"),
        ((2, 6, 7), (2, 6), r"expected `sample_weight` of shape \(batch,\), .*got \(2, 6\); reshape it"),
    ],
)
def test_other_shapes_are_refused(truth, weights, message):
    predictions = np.full((2, 6, 7, 3), 1 / 3, "float32")
    with pytest.raises(ValueError, match=message):
        DiceCrossEntropy()(np.zeros(truth), predictions, None if weights is None else np.ones(weights))


def test_structures_that_overlap_are_shown_the_activation():
    with pytest.raises(ValueError, match=r'for structures that may overlap, DiceCrossEntropy\(activation="sigmoid"\)'):
        DiceCrossEntropy()(np.zeros((2, 6, 7, 3)), np.full((2, 6, 7, 3), 0.5, "float32"))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_logits_have_the_loss_of_their_probabilities(activation, outputs, rng):
    logits = rng.normal(size=(2, 6, 7, outputs)).astype("float32")
    has_softmax = activation == "softmax" and outputs > 1
    probabilities = softmax(logits) if has_softmax else 1 / (1 + np.exp(-logits))
    truth = rng.integers(0, max(outputs, 2), (2, 6, 7))
    found = loss(truth, logits, activation=activation, from_logits=True)
    assert found == pytest.approx(loss(truth, probabilities, activation=activation), rel=1e-5)
    of_all = DiceCrossEntropy(activation=activation, from_logits=True).of_all([(truth, logits)])
    assert of_all["loss"] == pytest.approx(found, rel=1e-5)
    config = DiceCrossEntropy(from_logits=True).get_config()
    assert DiceCrossEntropy.from_config(config).from_logits
