import keras
import numpy as np
import pytest
from safetensors.numpy import load

from recalib_keras import models
from recalib_keras.zoo import WeightsError, weights


def network(num_classes=3, seed=0, architecture=models.UNet, rank=2, **kwargs):
    """Returns a small network whose every weight is random, the statistics of its normalisations too."""
    keras.utils.set_random_seed(seed)
    arguments = {"levels": 1, "filters": 2, "normalization": "batch", "recalibration": "scse", **kwargs}
    model = architecture((8,) * rank + (1,), num_classes, **arguments)
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.uniform(0.2, 1, variable.shape))
    return model


def state(model):
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


def outputs(model):
    inputs = np.random.default_rng(9).normal(size=(2, *model.input_shape[1:])).astype("float32")
    return model.predict_on_batch(inputs)


@pytest.mark.parametrize(
    ("architecture", "rank"),
    [
        *((models.UNet, 3), (models.SDNet, 2)),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in ((models.UNet, 2), (models.SDNet, 3))),
        *(pytest.param(models.DenseNet, rank, marks=pytest.mark.slow) for rank in (2, 3)),
    ],
)
def test_assigning_what_was_serialised_gives_the_same_network(architecture, rank):
    kwargs = {"architecture": architecture, "rank": rank, "dropout": 0.1, "classifier_activation": None}
    model, other = (network(seed=seed, **kwargs) for seed in (0, 1))
    assert np.abs(outputs(model) - outputs(other)).max() > 1e-3
    weights.assign(other, load(weights.serialize(model)))
    assert np.array_equal(outputs(model), outputs(other))


def test_names_are_the_layers_own_and_the_same_in_every_network():
    first, second = load(weights.serialize(network())), load(weights.serialize(network(seed=1)))
    assert first.keys() == second.keys()
    assert {"classifier/kernel", "classifier/bias", "encoder_1_norm_1/moving_mean"} <= first.keys()
    assert not any("seed" in name for name in first)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16"])
def test_on_disk_weights_are_float32(policy):
    tensors = load(weights.serialize(network(dtype=policy)))
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float32")}
    full = network(seed=1)
    weights.assign(full, tensors)
    assert all(np.array_equal(value, tensors[path]) for path, value in state(full).items())


def test_rounded_weights_take_half_the_room_and_fit_the_network():
    model, other = network(), network(seed=1)
    full = load(weights.serialize(model))
    content = weights.rounded(full, "float16")
    half = load(content)
    assert half.keys() == full.keys() and {tensor.dtype for tensor in half.values()} == {np.dtype("float16")}
    assert sum(tensor.nbytes for tensor in half.values()) * 2 == sum(tensor.nbytes for tensor in full.values())
    weights.assign(other, half)
    assert all(np.array_equal(value, full[path].astype("float16")) for path, value in state(other).items())
    assert {variable.dtype for variable in other.weights} == {"float32"}
    assert weights.rounded(half, "float16") == content
    assert weights.rounded(full, "float32") == weights.serialize(model)


def test_weights_too_large_for_half_precision_are_refused():
    tensors = {"a/kernel": np.array([1.0, 7e4], "float32"), "a/bias": np.ones(2, "float32")}
    with pytest.raises(
        WeightsError,
        match=r"^expected weights in the range of float16, got larger ones in a/kernel; store them in float32$",
    ):
        weights.rounded(tensors, "float16")


def test_a_weight_without_axes_keeps_its_shape():
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

        def call(self, inputs):
            return inputs * self.factor

    model = keras.Sequential([keras.Input((3,)), Scale(name="scale")])
    tensors = load(weights.serialize(model))
    assert [tensor.shape for tensor in tensors.values()] == [()]
    weights.assign(model, tensors)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights.serialize(network()))
    return path


def test_reads_a_file_with_the_right_hash_or_without_one(file):
    digest = weights.sha256(file.read_bytes())
    assert len(digest) == 64
    assert weights.read(file, digest).keys() == weights.read(file).keys() == state(network()).keys()


def test_another_hash_is_refused_before_anything_is_parsed(file, monkeypatch):
    monkeypatch.setattr(weights, "load", lambda content: pytest.fail("parsed a file that is not the expected one"))
    content = bytearray(file.read_bytes())
    expected = weights.sha256(bytes(content))
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=f"with SHA-256 {expected}, got {weights.sha256(content)}; reinstall"):
        weights.read(file, expected)


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-10], lambda c: c[:5], lambda c: b"", lambda c: bytes(range(256)) * 40]
)
def test_a_damaged_file(damage, file):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(
        WeightsError, match=r"weights.safetensors: expected a safetensors file saved by this package, got another one"
    ):
        weights.read(file)


def test_a_missing_file(tmp_path):
    with pytest.raises(
        WeightsError,
        match=r"none.safetensors: expected a file of weights that can be read, got no such file; reinstall",
    ):
        weights.read(tmp_path / "none.safetensors")


def assert_refused(model, tensors, *messages, **kwargs):
    before = state(model)
    with pytest.raises(WeightsError, match=r"^expected weights that fit the network 'unet', got ") as caught:
        weights.assign(model, tensors, **kwargs)
    for message in messages:
        assert message in str(caught.value)
    assert all(np.array_equal(value, before[path]) for path, value in state(model).items())


def test_every_difference_is_named_and_nothing_assigned():
    tensors = load(weights.serialize(network(seed=1)))
    del tensors["classifier/bias"]
    tensors["mine/kernel"] = np.zeros(3, "float32")
    tensors["encoder_1_conv_1/kernel"] = np.zeros((5, 5, 1, 2), "float32")
    assert_refused(
        network(),
        tensors,
        "classifier/bias is missing",
        "mine/kernel is not in the network",
        "encoder_1_conv_1/kernel has shape (5, 5, 1, 2), the network's has (3, 3, 1, 2)",
    )


def test_many_differences_are_counted():
    missing = len(state(network(levels=2)).keys() - state(network()).keys())
    with pytest.raises(WeightsError) as caught:
        weights.assign(network(levels=2), load(weights.serialize(network())))
    *listed, rest = str(caught.value).split("; ")
    assert len(listed) == 7 and rest.endswith(f" and {missing - 8} more")


def test_another_head_is_refused_or_skipped():
    tensors = load(weights.serialize(network(num_classes=5, seed=1)))
    message = "classifier/bias has shape (5,), the network's has (3,)"
    assert_refused(network(), tensors, message)

    model = network()
    head = {path: value for path, value in state(model).items() if weights.is_head(path)}
    weights.assign(model, tensors, skip=weights.is_head)
    assert set(head) == {"classifier/kernel", "classifier/bias"}
    for path, value in state(model).items():
        assert np.array_equal(value, head[path] if path in head else tensors[path]), path


@pytest.mark.parametrize("patch_size", [1, 2])
def test_the_classifier_has_as_many_classes(patch_size):
    """With patches it has more maps than there are classes."""
    tensors = load(weights.serialize(network(patch_size=patch_size)))
    assert weights.has_same_classes(network(patch_size=patch_size, seed=1), tensors)
    assert not weights.has_same_classes(network(patch_size=patch_size, num_classes=4), tensors)
    body = {path: tensor for path, tensor in tensors.items() if not weights.is_head(path)}
    assert not weights.has_same_classes(network(patch_size=patch_size), body)


def test_a_block_after_the_classifier_is_part_of_the_head():
    kwargs = {"positions": ("classifier",), "recalibration": "cse"}
    tensors = load(weights.serialize(network(num_classes=4, seed=1, **kwargs)))
    model = network(num_classes=6, **kwargs)
    weights.assign(model, tensors, skip=weights.is_head)
    skipped = {path for path in state(model) if weights.is_head(path)}
    assert any(path.startswith("classifier_recalibration/") for path in skipped)
    assert np.array_equal(state(model)["bottleneck_conv_1/kernel"], tensors["bottleneck_conv_1/kernel"])


def test_the_body_must_fit_even_if_the_head_is_skipped():
    tensors = load(weights.serialize(network(filters=4)))
    assert_refused(network(), tensors, "encoder_1_conv_1/kernel has shape", skip=weights.is_head)
