import pytest
from training.synthetic import changed

from recalib_keras.training import network


@pytest.mark.parametrize(
    ("asked", "device", "is_native", "expected"),
    [
        ("mixed_bfloat16", None, True, "mixed_bfloat16"),
        ("mixed_bfloat16", None, False, "float32"),
        ("mixed_bfloat16", "NVIDIA H200", False, "mixed_bfloat16"),
        ("float32", None, True, "float32"),
    ],
)
def test_the_precision_of_a_training(asked, device, is_native, expected, recipe, monkeypatch):
    monkeypatch.setattr(network, "accelerator", lambda: device)
    monkeypatch.setattr(network, "has_bfloat16", lambda: is_native)
    asking = changed(recipe, schedule={"precision": asked})
    assert network.training_precision(asking) == expected
    model = network.build_network(asking)
    convolution = next(layer for layer in model.layers if "conv" in layer.name)
    assert convolution.compute_dtype == expected.removeprefix("mixed_")
    assert convolution.variable_dtype == "float32"
