"""Networks learn, and come back from disk as they were."""

import keras
import numpy as np
import pytest
from networks import NETWORKS, every_network, every_network_in_a_rank, image, outputs_of, randomize, tiny

from recalib_keras import layers, models

# One block for each network, to spare builds; test_recalibrated_networks.py has all of them.
RECALIBRATION = {models.UNet: "pe", models.SDNet: "cbam", models.DenseNet: "segse"}


@every_network_in_a_rank
def test_a_few_steps_lower_the_loss(network, spatial_rank):
    model = tiny(network, spatial_rank, recalibration=RECALIBRATION[network])
    inputs = image(spatial_rank)
    labels = np.eye(3, dtype="float32")[(inputs[..., 0] > 0).astype(int) + (inputs[..., 0] > 1)]
    model.compile(keras.optimizers.Adam(0.01), keras.losses.CategoricalCrossentropy())
    losses = [float(model.train_on_batch(inputs, labels)) for _ in range(6)]
    assert losses[-1] < 0.97 * losses[0]


@every_network_in_a_rank
def test_saved_network_gives_same_outputs(network, spatial_rank, tmp_path):
    recalibration = "scse" if spatial_rank == 2 else RECALIBRATION[network]
    model = randomize(tiny(network, spatial_rank, recalibration=recalibration, skip="raw", positions=("encoder",)))
    model.save(tmp_path / "network.keras")
    reloaded = keras.models.load_model(tmp_path / "network.keras")
    assert type(reloaded) is network
    assert reloaded.get_config() == model.get_config()
    inputs = image(spatial_rank)
    np.testing.assert_array_equal(outputs_of(reloaded, inputs), outputs_of(model, inputs))


@every_network
def test_weights_alone_fit_a_second_build(network, tmp_path):
    model = randomize(tiny(network, 3, recalibration="cbam"))
    model.save_weights(tmp_path / "network.weights.h5")
    again = tiny(network, 3, recalibration="cbam")
    again.load_weights(tmp_path / "network.weights.h5")
    inputs = image(3)
    np.testing.assert_array_equal(outputs_of(again, inputs), outputs_of(model, inputs))


def test_config_names_every_argument_and_restores_the_network():
    arguments = {
        "input_shape": (None, None, 2),
        "num_classes": 5,
        "levels": 2,
        "filters": (4, 6, 8),
        "kernel_size": 5,
        "normalization": "group",
        "upsampling": "linear",
        "dropout": 0.25,
        "recalibration": "cse",
        "recalibration_args": {"reduction_ratio": 4, "use_bias": False},
        "positions": ("bottleneck", "decoder"),
        "skip": "raw",
        "patch_size": 2,
        "head_filters": 12,
        "classifier_activation": None,
        "pool_sizes": ((2, 2), (2, 1)),
        "data_format": "channels_last",
        "convention": "paper",
        "dtype": "mixed_bfloat16",
        "name": "mine",
    }
    model = models.UNet(**arguments)
    assert model.get_config() == arguments
    again = models.UNet.from_config(model.get_config())
    assert again.get_config() == arguments
    assert [layer.get_config() for layer in again.layers] == [layer.get_config() for layer in model.layers]


@pytest.mark.parametrize("network", NETWORKS)
def test_config_holds_the_networks_own_defaults(network):
    """Only a small network is built; the defaults of all others are in `test_architecture.py`."""
    expected = {"unet": (3, "none", "transpose"), "sdnet": (7, "batch", "unpool"), "densenet": (5, "batch", "unpool")}
    for rank in (2, 3):
        config = NETWORKS[network]((8,) * rank + (1,), 2, levels=1, filters=4).get_config()
        assert (config["normalization"], config["upsampling"]) == expected[network][1:]
        assert config["kernel_size"] == (expected[network][0] if rank == 2 else 3)
        assert config["positions"] == ("encoder", "decoder")


@keras.saving.register_keras_serializable(package="tests")
class HalfGate(layers.Recalibration):
    """A user's own block: gates of the mean's sigmoid."""

    def compress(self, inputs):
        return self.mean(inputs, self.spatial_axes)


@keras.saving.register_keras_serializable(package="tests")
class Scaling(keras.layers.Layer):
    """A user's own layer that is not a recalibration block and has no data format."""

    def __init__(self, start=0.5, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.scale = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.start), name="scale"
        )

    def call(self, inputs):
        return inputs * self.scale

    def get_config(self):
        return {**super().get_config(), "start": self.start}


@pytest.mark.parametrize(("block", "arguments"), [(HalfGate, {}), (Scaling, {"start": 0.25})])
def test_users_own_class_survives_saving(block, arguments, tmp_path):
    model = randomize(tiny(models.DenseNet, 3, recalibration=block, recalibration_args=arguments))
    assert model.get_config()["recalibration"] == f"tests>{block.__name__}"
    model.save(tmp_path / "network.keras")
    reloaded = keras.models.load_model(tmp_path / "network.keras")
    assert type(reloaded.get_layer("encoder_1_recalibration")) is block
    inputs = image(3)
    np.testing.assert_array_equal(outputs_of(reloaded, inputs), outputs_of(model, inputs))


@every_network
def test_mixed_precision_stays_close_to_float32(network):
    exact = tiny(network, 3, recalibration=RECALIBRATION[network])
    mixed = tiny(network, 3, recalibration=RECALIBRATION[network], dtype="mixed_bfloat16")
    mixed.set_weights(exact.get_weights())
    inputs = image(3)
    outputs = mixed(inputs)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert keras.backend.standardize_dtype(mixed.get_layer("decoder_1_skip").output.dtype) == "bfloat16"
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    expected = outputs_of(exact, inputs)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs), expected, atol=0.03)


def test_global_dtype_policy_is_the_default():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tiny(models.UNet)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_config()["dtype"] == "mixed_bfloat16"
    assert model.get_layer("classifier").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"
