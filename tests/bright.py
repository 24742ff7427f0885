"""A tiny preset that labels what is bright, and scans for it."""

import dataclasses

import keras
import nibabel as nib
import numpy as np

from recalib_keras import zoo
from recalib_keras.zoo import weights
from recalib_keras.zoo.preset import Preset, WeightSet

WINDOW = (8, 8, 8)


def write_preset(folder):
    """Writes a preset whose network calls every voxel above the scan's mean "bright", label 7; returns its folder."""
    folder.mkdir()
    described = WeightSet(
        title="what is bright",
        network=zoo.Network("UNet", {"levels": 1, "filters": 2}),
        input=zoo.Input(window=WINDOW),
        labels=(zoo.Label(0, "background"), zoo.Label(7, "bright", (255, 200, 0))),
        file="bright.safetensors",
        sha256="",
        parameters=0,
        score={"dice": 1.0},
    )
    content = weights.serialize(_threshold_network(described))
    (folder / described.file).write_bytes(content)
    described = dataclasses.replace(described, sha256=weights.sha256(content))
    (folder / "preset.json").write_text(Preset("bright", {"bright": described}).to_json(), encoding="utf-8")
    (folder / "README.md").write_text("# bright\n", encoding="utf-8")
    return folder


def write_scan(path, box=(2, 3, 4)):
    """Writes a scan whose bright box has the given size; returns its path."""
    path.parent.mkdir(exist_ok=True)
    array = np.random.default_rng(0).uniform(0, 1, (10, 9, 8)).astype("float32")
    array[tuple(slice(2, 2 + size) for size in box)] = 100
    image = nib.Nifti1Image(array, np.diag([-1.0, 1.0, 2.0, 1.0]))
    image.set_sform(image.affine, code=4)
    nib.save(image, path)
    return path


def _threshold_network(described):
    """A U-Net whose skip connection carries the image's positive part, and whose classifier weighs it."""
    model = described.build()
    for variable in model.variables:
        variable.assign(keras.ops.zeros_like(variable))
    centre = (1, 1, 1)
    for name, channel in (
        ("encoder_1_conv_1", 0),
        ("encoder_1_conv_2", 0),
        ("decoder_1_conv_1", 2),
        ("decoder_1_conv_2", 0),
    ):
        kernel = np.zeros(model.get_layer(name).kernel.shape, "float32")
        kernel[(*centre, channel, 0)] = 1.0  # decoder input: two maps from below, then the skip's
        model.get_layer(name).kernel.assign(kernel)
    classifier = model.get_layer("classifier")
    classifier.kernel.assign(np.array([[0.0, 10.0], [0.0, 0.0]], "float32").reshape(1, 1, 1, 2, 2))
    classifier.bias.assign(np.array([0.01, 0.0], "float32"))
    return model
