"""A set of BRATS's shape that a network learns in seconds: four channels, and a tumour within a tumour."""

import json

import numpy as np
from training.synthetic import empty_set, nested_balls, save

FOLDER = "tumours"
CHANNELS = ("FLAIR", "T1w", "T1gd", "T2w")
RECIPE = f"""
preset = "tumours3d"
weights = "tumours"
title = "tumours made by the tests"
seed = 3
labels = [
    {{ id = 0, name = "background" }},
    {{ id = 1, name = "whole tumour", includes = [2, 3] }},
    {{ id = 2, name = "tumour core", includes = [3] }},
    {{ id = 3, name = "enhancing tumour" }},
]

[network]
architecture = "UNet"
arguments = {{ levels = 1, filters = 6, normalization = "batch", classifier_activation = "sigmoid" }}

[input]
window = [12, 12, 12]
channels = ["FLAIR", "T1w", "T1gd", "T2w"]
normalization = ["zscore", "zscore", "percentile", "zscore"]

[data]
folder = "{FOLDER}"
source = "scans made by the tests"
licence = "CC0"
validate_every = 3

[augmentation]
rotation = 10.0
noise = 0.1
gamma = 0.1
blur = 0.3

[optimizer]
learning_rate = 0.05

[schedule]
epochs = 8
batch_size = 2
examples_per_scan = 6
precision = "float32"
"""


def write_scans(data_root, count=6, as_files=False):
    """Writes scans whose channels each show one of three nested balls; the last channel shows none.

    Args:
        data_root: The folder to make the set in.
        count: Number of scans.
        as_files: Whether each channel has a file, as nnU-Net has them, instead of a volume of a 4-D file.
    """
    rng = np.random.default_rng(0)
    folder = empty_set(data_root / FOLDER)
    for index in range(count):
        labels = nested_balls(rng.uniform(5.0, 7.0, 3), {2.0: 3, 3.2: 2, 4.5: 1})
        channels = [labels >= least for least in (1, 2, 3, 9)]
        image = (np.stack(channels, -1) + rng.normal(0, 0.1, (*labels.shape, 4))).astype("float32")
        name = f"patient_{index}"
        save(folder / "labelsTr" / f"{name}.nii.gz", labels)
        files = {f"{name}_{channel:04}": image[..., channel] for channel in range(4)} if as_files else {name: image}
        for file, array in files.items():
            save(folder / "imagesTr" / f"{file}.nii.gz", array)
    key = "channel_names" if as_files else "modality"
    described = {key: dict(enumerate(CHANNELS)), "labels": {"0": "background", "1": "edema", "2": "core", "3": "ET"}}
    (folder / "dataset.json").write_text(json.dumps(described), encoding="utf-8")
