"""A data set that a network learns in seconds, and a recipe for it."""

import dataclasses

import nibabel as nib
import numpy as np

from recalib_keras.training import Recipe

FOLDER = "balls"
RECIPE = f"""
preset = "tiny3d"
weights = "balls"
title = "balls with a core"
seed = 3
labels = [{{ id = 0, name = "background" }}, {{ id = 17, name = "shell" }}, {{ id = 53, name = "core" }}]

[network]
architecture = "UNet"
arguments = {{ levels = 1, filters = 4, normalization = "batch", dropout = 0.1 }}

[input]
window = [12, 12, 12]
normalization = "zscore"

[data]
folder = "{FOLDER}"
source = "scans made by the tests"
licence = "CC0"
validate_every = 3

[augmentation]
rotation = 10.0
translation = 1.0
noise = 0.1

[optimizer]
learning_rate = 0.06

[schedule]
epochs = 5
batch_size = 2
examples_per_scan = 6
precision = "float32"
"""


def write_recipe(path):
    """Writes the recipe to a file and returns it."""
    path.write_text(RECIPE, encoding="utf-8")
    return Recipe.read(path)


def changed(recipe, **tables):
    """Returns the recipe with other values in some tables, such as `schedule={"epochs": 1}`."""
    return dataclasses.replace(
        recipe, **{name: dataclasses.replace(getattr(recipe, name), **values) for name, values in tables.items()}
    )


def write_scans(data_root, count=6):
    """Writes noisy scans of a ball (label 17) with a brighter core (label 53) somewhere in a box."""
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (data_root / FOLDER / part).mkdir(parents=True)
    for index in range(count):
        labels = _ball_with_core((14, 12, 13), centre=rng.uniform(5.0, 7.0, 3))
        image = (labels > 0) + 1.0 * (labels == 53) + rng.normal(0, 0.1, labels.shape)
        for part, array in (("imagesTr", image.astype("float32")), ("labelsTr", labels)):
            nib.save(nib.Nifti1Image(array, np.diag([-1, 1, 1, 1])), data_root / FOLDER / part / f"ball_{index}.nii.gz")


def _ball_with_core(shape, centre):
    distance = np.linalg.norm(np.indices(shape) - centre[:, None, None, None], axis=0)
    return np.select([distance < 2.5, distance < 4.5], [53, 17], 0).astype("uint8")
