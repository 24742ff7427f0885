"""Small drawn scans with label maps, for the tutorials: a grey head with a bright lesion of any place and size."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (24, 28, 24)  # voxels
SPACING = (1.0, 1.0, 1.2)  # mm


def draw_scans(folder: str, count: int = 6) -> Path:
    """Writes scans to `folder/images` and their label maps (0 background, 1 lesion) to `folder/labels`.

    `folder/labels.json` names the label.

    Args:
        folder: The folder; it is made if it does not exist.
        count: How many scans to draw.

    Returns:
        The first scan.
    """
    random = np.random.default_rng(0)
    for name in ("images", "labels"):
        Path(folder, name).mkdir(parents=True, exist_ok=True)
    Path(folder, "labels.json").write_text(json.dumps({"1": "lesion"}))
    for index in range(count):
        head = _ball(np.array(SHAPE) / 2, 11)
        lesion = _ball(np.array(SHAPE) / 2 + random.uniform(-4, 4, 3), random.uniform(2.5, 4))
        image = 100 * head + 60 * lesion + random.normal(0, 8, SHAPE)
        for name, array in (("images", image.astype("float32")), ("labels", lesion.astype("uint8"))):
            affine = np.diag([*SPACING, 1.0])
            nib.save(nib.Nifti1Image(array, affine), Path(folder, name, f"scan_{index}.nii.gz"))
    return Path(folder, "images", "scan_0.nii.gz")


def _ball(centre, radius):
    """Returns an array that is True inside a ball (voxels)."""
    return sum((axis - middle) ** 2 for axis, middle in zip(np.indices(SHAPE), centre)) < radius**2
