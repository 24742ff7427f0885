"""The peers that benchmarks measure against compute the same as our networks."""

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
