import keras
import numpy as np
import pytest
from training.synthetic import changed

from recalib_keras.training.optimizers import RecipeAdam, RecipeAdamW, RecipeMuon, RecipeSGD, make_optimizer


def value(tensor):
    return keras.ops.convert_to_numpy(tensor)


def rates(recipe, steps, **optimizer):
    """Returns the learning rate of each step of a training with other settings of the optimizer."""
    rate = make_optimizer(changed(recipe, optimizer=optimizer), steps)._learning_rate
    total = steps * recipe.schedule.epochs
    return [float(value(rate(step) if callable(rate) else rate)) for step in range(total + 1)]


def test_the_first_epoch_warms_up_and_the_last_ends_at_zero(recipe):
    found = rates(recipe, 10)
    assert found[0] == 0 and found[5] == pytest.approx(0.03) and found[10] == pytest.approx(0.06)
    assert found[10:] == sorted(found[10:], reverse=True) and found[50] == pytest.approx(0, abs=1e-9)


def test_a_cosine_without_warm_up_starts_at_its_peak(recipe):
    found = rates(recipe, 10, warmup_epochs=0.0)
    assert found[0] == pytest.approx(0.06) and found[25] == pytest.approx(0.03) and found[50] == pytest.approx(0)


def test_steps_fall_by_their_factor(recipe):
    found = rates(recipe, 10, decay="step", decay_factor=0.5, decay_epochs=2)
    np.testing.assert_allclose(found[:50], 0.06 * np.repeat([1, 1, 0.5, 0.5, 0.25], 10), rtol=1e-6)


def test_a_constant_rate(recipe):
    assert rates(recipe, 10, decay="constant") == pytest.approx([0.06] * 51)


@pytest.mark.parametrize(("name", "base"), [("adam", "Adam"), ("adamw", "AdamW"), ("muon", "Muon"), ("sgd", "SGD")])
def test_is_what_the_recipe_names(name, base, recipe):
    optimizer = make_optimizer(changed(recipe, optimizer={"name": name}), 10)
    assert isinstance(optimizer, getattr(keras.optimizers, base)) and optimizer.global_clipnorm == 1.0
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()


def test_no_clipping_for_a_norm_of_zero(recipe):
    assert make_optimizer(changed(recipe, optimizer={"clip_norm": 0.0}), 10).global_clipnorm is None


def test_sgd_by_hand():
    """Velocity and weight as in the papers' recipe: the decay is part of the gradient that momentum sees."""
    optimizer = RecipeSGD(0.1, momentum=0.95, gradient_decay=0.01)
    weight = keras.Variable(np.array([2.0, -1.0], "float32"))
    optimizer.build([weight])
    expected, velocity = np.array([2.0, -1.0]), np.zeros(2)
    for gradient in ([1.0, 0.5], [-2.0, 0.25], [0.0, 0.0]):
        velocity = 0.95 * velocity - 0.1 * (np.array(gradient) + 0.01 * expected)
        expected = expected + velocity
        optimizer.apply([keras.ops.convert_to_tensor(np.array(gradient, "float32"))])
        np.testing.assert_allclose(value(weight), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "gradient", "of_body", "of_head"),
    [
        (RecipeSGD(0.5, body_rate=0.1), 1.0, 1 - 0.1 * 0.5, 1 - 0.5),
        (RecipeAdamW(0.5, weight_decay=0.2, body_rate=0.1), 0.0, 1 - 0.1 * 0.5 * 0.2, 1 - 0.5 * 0.2),
        # Adam's first step is the rate itself.
        (RecipeAdamW(0.5, weight_decay=0.2, body_rate=0.1), 1.0, 1 - 0.1 * 0.5 * 1.2, 1 - 0.5 * 1.2),
        (RecipeMuon(0.5, weight_decay=0.2, body_rate=0.1), 0.0, 1 - 0.1 * 0.5 * 0.2, 1 - 0.5 * 0.2),
    ],
    ids=["sgd", "adamw without gradient", "adamw", "muon without gradient"],
)
def test_the_body_changes_more_slowly_than_the_classifier(optimizer, gradient, of_body, of_head):
    body, head = (keras.layers.Dense(1, use_bias=False, name=name) for name in ("encoder_1", "classifier"))
    for layer in (body, head):
        layer.build((None, 1))
        layer.kernel.assign([[1.0]])
    optimizer.build([body.kernel, head.kernel])
    optimizer.apply([gradient * keras.ops.ones((1, 1))] * 2)
    np.testing.assert_allclose([value(layer.kernel)[0, 0] for layer in (body, head)], [of_body, of_head], atol=1e-5)


def test_at_one_rate_for_all_it_is_the_adamw_of_keras():
    start, results = np.array([2.0, -1.0], "float32"), []
    for kind in (RecipeAdamW, keras.optimizers.AdamW):
        weight, optimizer = keras.Variable(start), kind(0.1, weight_decay=0.2)
        optimizer.build([weight])
        for gradient in ([1.0, 0.5], [-2.0, 0.25], [0.0, 0.0]):
            optimizer.apply([keras.ops.convert_to_tensor(np.array(gradient, "float32"))])
        results.append(value(weight))
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_the_moving_average_is_kept_beside_the_weights():
    weight = keras.Variable(np.array([0.0], "float32"))
    optimizer = RecipeAdam(0.5, use_ema=True, ema_momentum=0.9)
    optimizer.build([weight])
    average = None
    for _ in range(4):
        optimizer.apply([keras.ops.convert_to_tensor(np.array([1.0], "float32"))])
        average = value(weight) if average is None else 0.9 * average + 0.1 * value(weight)
    last = value(weight).copy()
    optimizer.finalize_variable_values([weight])
    assert value(weight) == last and value(optimizer.averages([weight])[0]) == pytest.approx(average, rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 3, 2, 8), (1, 1, 4, 6), (2, 3, 2, 16)], ids=["tall", "wide", "2-D"])
def test_muon_moves_a_kernel_by_all_its_directions_alike(shape):
    """Of any gradient the directions are taken, none of the lengths; the length of the step is near Adam's."""
    rng = np.random.default_rng(1)
    gradient = rng.normal(size=shape) * np.logspace(-1, 1, shape[-1])
    start = rng.normal(size=shape).astype("float32")
    kernel, optimizer = keras.Variable(start), RecipeMuon(0.1, weight_decay=0.0)
    optimizer.build([kernel])
    optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))])
    rows = int(np.prod(shape[:-1]))
    step = ((start - value(kernel)) / (0.1 * 0.2 * max(rows, shape[-1]) ** 0.5)).reshape(rows, -1)
    left, _, right = np.linalg.svd(gradient.reshape(rows, -1), full_matrices=False)
    along = np.diag(left.T @ step @ right.T)
    assert np.all(along > 0.5) and np.all(along < 1.3)  # Newton and Schulz's iteration is short
    np.testing.assert_allclose(left.T @ step @ right.T, np.diag(along), atol=1e-2)


def test_muon_is_adam_for_biases_and_the_classifier():
    rng, results = np.random.default_rng(1), []
    starts, gradients = ([rng.normal(size=(4, 2)), rng.normal(size=2)] for _ in range(2))
    for kind, settings in ((RecipeMuon, {"weight_decay": 0.0}), (RecipeAdam, {})):
        layer = keras.layers.Dense(2, name="classifier")
        layer.build((None, 4))
        layer.set_weights(starts)
        optimizer = kind(0.1, **settings)
        optimizer.build(layer.trainable_variables)
        for _ in range(3):
            optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32")) for gradient in gradients])
        results.append(np.concatenate([value(weight).ravel() for weight in layer.trainable_variables]))
    np.testing.assert_allclose(*results, rtol=1e-4)
