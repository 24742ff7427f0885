"""A change drawn once is the same on every backend, compiled as training compiles it."""

import importlib.util
import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy import ndimage

from recalib_keras.training.data.augmentation import Mirror, apply, draw
from recalib_keras.training.recipe import Augmentation

EVERYTHING = Augmentation(
    flip=0.5,
    rotation=20,
    scaling=0.2,
    translation=2,
    elastic=1.5,
    elastic_nodes=4,
    gamma=0.3,
    contrast=0.2,
    brightness=0.2,
    noise=0.2,
    blur=1.0,
    bias_field=0.3,
    low_resolution=3.0,
)

APPLY = """
import pickle, sys
import keras, numpy as np
from recalib_keras.training.data.augmentation import Change, apply
from recalib_keras.pipeline import compiled
folder = sys.argv[1]
images, labels, change = pickle.load(open(f"{folder}/example.pickle", "rb"))
images, labels = compiled(apply)(images, labels, Change(**change))
convert = keras.ops.convert_to_numpy
np.savez(f"{folder}/changed.npz", images=convert(images), labels=convert(labels))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
@pytest.mark.parametrize("window", [(20, 24), (16, 18, 20)])
def test_every_backend_makes_the_same_change(backend, window, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    rng = np.random.default_rng(11)
    images = np.stack([ndimage.gaussian_filter(rng.normal(size=window), 2) * 9 for _ in range(3)]).astype("float32")
    labels = rng.integers(0, 4, images.shape).astype("uint8")
    drawn = draw(EVERYTHING, 3, window, rng, Mirror(axis=0, classes=(0, 2, 1, 3)))
    (tmp_path / "example.pickle").write_bytes(pickle.dumps((images, labels, drawn._asdict())))
    environment = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", APPLY, str(tmp_path)], check=True, env=environment, capture_output=True)
    expected_images, expected_labels = (keras.ops.convert_to_numpy(tensor) for tensor in apply(images, labels, drawn))
    with np.load(tmp_path / "changed.npz") as changed:
        np.testing.assert_allclose(changed["images"], expected_images, atol=5e-5)
        # A place half-way between two voxels may round to either.
        assert (changed["labels"] != expected_labels).mean() < 1e-3
