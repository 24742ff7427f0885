"""The networks that benchmarks compare with compute the same as ours."""

import keras
import numpy as np
import pytest
from keras import ops

from recalib_keras import models

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("network", "recalibration", "shape"),
    [
        ("UNet", "scse", (8, 8, 1)),
        ("UNet", "sse", (8, 8, 8, 1)),
        ("SDNet", "cse", (8, 8, 8, 1)),
        ("DenseNet", "pe", (8, 8, 8, 1)),
    ],
)
def test_torch_twin_gives_the_same_probabilities(network, recalibration, shape):
    from benchmarks.torch_networks import Network

    model = getattr(models, network)(shape, 3, levels=2, filters=4, recalibration=recalibration)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        spread = (
            rng.uniform(0.5, 1.0, variable.shape) if "variance" in variable.path else rng.normal(0, 0.3, variable.shape)
        )
        variable.assign(spread)
    x = rng.standard_normal((2, *shape)).astype("float32")
    ours = ops.convert_to_numpy(model(x))
    with torch.inference_mode():
        theirs = Network(model)(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    np.testing.assert_allclose(np.moveaxis(theirs, 1, -1), ours, atol=1e-5)


def test_monai_sliding_window_gives_the_same_labels():
    """Windows with half of overlap cover this volume evenly, so the windows of both lie at the same places."""
    pytest.importorskip("monai")
    pytest.importorskip("nilearn")
    from benchmarks.inference import _agreement, _image, _monai
    from recalib_keras.inference import Segmenter

    image, which = _image("zscore", (60, 84, 60)), ("densenet3d_pe", "hippocampus")
    ours = Segmenter.from_preset(*which).predict_classes(image)
    theirs = _monai(which, image, "float32", torch.contiguous_format, "eager")()
    assert image.shape == ours.shape == theirs.shape == (60, 84, 60)
    agreement = {name: float(share.rstrip("%")) for name, share in _agreement(theirs, ours).items()}
    assert agreement["same labels"] >= 99.5 and agreement["same structures"] >= 98


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the benchmark measures TensorFlow")
@pytest.mark.parametrize("whose", ["ours", "channels_last"])
def test_memory_of_a_block_is_measured(whose):
    from benchmarks import memory

    # At least the map and its gradient, but no memory from before the block's own work (one map has 67 MB).
    assert 2 * 67 < memory._in_process(what="block", block="sSE", size=64, whose=whose) < 12 * 67


def test_straight_keras_gives_the_same_probabilities():
    from benchmarks.straight_keras import straight

    settings = {"levels": 2, "filters": 4, "recalibration": "pe", "dtype": "float32"}
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 8, 1)).astype("float32")
    ours = models.UNet((8, 8, 8, 1), 3, normalization="batch", **settings)
    with straight():
        theirs = models.UNet((8, 8, 8, 1), 3, normalization="batch", **settings)
        theirs.set_weights(ours.get_weights())
        straight_probabilities = ops.convert_to_numpy(theirs(x))
    np.testing.assert_allclose(straight_probabilities, ops.convert_to_numpy(ours(x)), atol=1e-5)
