"""A data set that a network learns in seconds, and a recipe for it."""

import dataclasses
import json

import nibabel as nib
import numpy as np

from recalib_keras.training import Recipe

FOLDER = "balls"
SHAPE = (14, 12, 13)
IGNORED = 200  # the number of voxels that nobody looked at, see `make_partial`
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
    folder = empty_set(data_root / FOLDER)
    for index in range(count):
        labels = nested_balls(rng.uniform(5.0, 7.0, 3), {2.5: 53, 4.5: 17})
        image = (labels > 0) + 1.0 * (labels == 53) + rng.normal(0, 0.1, labels.shape)
        save(folder / "imagesTr" / f"ball_{index}.nii.gz", image.astype("float32"))
        save(folder / "labelsTr" / f"ball_{index}.nii.gz", labels)


def empty_set(folder):
    """Makes the folders of a set, and returns its folder."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    return folder


def nested_balls(centre, numbers):
    """Returns a label map of balls around one centre: the number of each by its radius, the smallest first."""
    distance = np.linalg.norm(np.indices(SHAPE) - centre[:, None, None, None], axis=0)
    return np.select([distance < radius for radius in numbers], list(numbers.values()), 0).astype("uint8")


def save(path, array, voxel=(1, 1, 1)):
    """Writes an array as NIfTI whose first axis grows to the left."""
    nib.save(nib.Nifti1Image(array, np.diag([-voxel[0], *voxel[1:], 1])), path)


def make_partial(folder):
    """Makes every other scan of `write_scans` one whose core was not looked for, and a corner of each unknown."""
    paths = sorted((folder / "labelsTr").glob("*.nii.gz"))
    annotated = {path.name.removesuffix(".nii.gz"): [17, 53] if n % 2 == 0 else [17] for n, path in enumerate(paths)}
    for path, numbers in zip(paths, annotated.values()):
        array = np.asarray(nib.load(path).dataobj).copy()
        array[(array == 53) & (53 not in numbers)] = 0
        array[:3, :3, :3] = IGNORED
        save(path, array)
    (folder / "annotated.json").write_text(json.dumps(annotated), encoding="utf-8")
