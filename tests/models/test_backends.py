"""A network saved under one Keras backend gives the same outputs under the others."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from networks import image, outputs_of, randomize, tiny

from recalib_keras import models

RELOAD = """
import sys
import keras, numpy as np
from recalib_keras import models
folder = sys.argv[1]
model = keras.models.load_model(f"{folder}/network.keras")
np.save(f"{folder}/outputs.npy", keras.ops.convert_to_numpy(model(np.load(f"{folder}/inputs.npy"))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
@pytest.mark.parametrize("recalibration", ["scse", "pe", "segse", "cbam"])
def test_saved_network_gives_same_outputs_under_another_backend(backend, recalibration, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip("this is the backend that saves")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    model = randomize(tiny(models.DenseNet, 3, recalibration=recalibration))
    inputs = image(3)
    model.save(tmp_path / "network.keras")
    np.save(tmp_path / "inputs.npy", inputs)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", RELOAD, str(tmp_path)], check=True, env=environment, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), outputs_of(model, inputs), rtol=1e-4, atol=1e-5)
