"""Draws the pictures of the gallery and of the start page: `python -m docs.gallery_pictures [PRESET:WEIGHTS …]`.

Each shows the MNI152 template, or a crop of it, segmented by a weight set of the zoo. Label maps stay in `demo-output/`
and are used again. All weight sets take some minutes; those of 3-D networks of the whole brain need 4 GB of memory.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from docs.site.gallery import DOCS, picture
from examples.demo import OUTPUT, template
from examples.hippocampus import FIRST, LAST, crop
from recalib_keras import volumes, zoo
from recalib_keras.cli.main import main as recalib
from recalib_keras.core.colors import distinct_color
from recalib_keras.core.files import atomic_write
from recalib_keras.evaluation.structures import without_side

ENGINE = "--engine", "openvino", "--precision", "float32"
OPACITY = 0.6
HEIGHT, COLORS = 240, 96  # of a picture: pixels, and entries of its palette
MARGIN = 4  # voxels around what is not air
START = DOCS / "pictures" / "start.png"
START_WEIGHTS = "densenet3d_pe", "whole_brain"


def main(names: Sequence[str]) -> int:
    """Draws the pictures of some weight sets, or of all."""
    chosen = [tuple(name.split(":")) for name in names] or [(entry.name, entry.weights) for entry in zoo.list()]
    for name, weights in chosen:
        scan = _scan(whole="whole_brain" in weights)
        folder = OUTPUT / "gallery" / f"{name}_{weights}"
        code = recalib(["segment", str(scan), "-o", str(folder), "--preset", name, "--weights", weights, *ENGINE])
        if code:
            return code
        draw(scan, folder / f"{scan.name.removesuffix('.nii.gz')}_labels.nii.gz", name, weights)
    return 0


def draw(scan: Path, labels: Path, name: str, weights: str) -> None:
    """Writes the picture of a weight set, and that of the start page if it is the one shown there.

    Args:
        scan: The file of the scan.
        labels: The file of the label map on its grid.
        name: The preset.
        weights: Its weight set or ensemble.
    """
    preset = zoo.info(name)
    shown = preset.weight_sets[next(iter(preset.shares(weights)))].labels
    image, found = (volumes.read(path).conform("RAS").array for path in (scan, labels))
    grey = np.clip(image / np.percentile(image, 99.5), 0, 1)
    # A colour for each structure, the same on both sides.
    structures = list(dict.fromkeys(without_side(label.name) for label in shown[1:]))
    colors = np.zeros((int(found.max()) + 1, 3))
    for label in shown[1:]:
        if label.id < len(colors):
            colors[label.id] = distinct_color(structures.index(without_side(label.name)))
    box = _box(grey > 0.05)
    grey, found = grey[box], found[box]
    place = np.rint(ndimage.center_of_mass(found > 0)).astype(int)
    # The coronal slice of a brain, the sagittal one of a hippocampus, show most structures.
    cut = (slice(None), place[1] - 10) if "whole_brain" in weights else (place[0],)
    plain, painted = (
        _upright(part) for part in (grey[cut][..., None].repeat(3, -1), _painted(grey[cut], found[cut], colors))
    )
    _write(picture(name, weights), painted)
    if (name, weights) == START_WEIGHTS:
        _write(START, np.concatenate([plain, painted], axis=1), scale=2)


def _box(mask):
    """Returns the slices of the box around a mask, with a margin."""
    ends = [np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
    return tuple(slice(max(0, first - MARGIN), last + 1 + MARGIN) for first, last in ends)


def _painted(grey, labels, colors):
    labels = labels.astype(int)
    share = OPACITY * (labels > 0)[..., None]
    return (1 - share) * grey[..., None] + share * colors[labels] / 255


def _upright(picture):
    """Returns a slice with its second axis upwards and its first to the right."""
    return np.flip(picture.swapaxes(0, 1), 0)


def _write(path, picture, scale=1):
    zoom = scale * HEIGHT / picture.shape[0]
    picture = np.clip(ndimage.zoom(picture, (zoom, zoom, 1), order=1), 0, 1)
    image = Image.fromarray(np.rint(255 * picture).astype("uint8")).quantize(COLORS)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda temporary: image.save(temporary, format="png", optimize=True))


def _scan(whole):
    image, name = (template(), "mni152") if whole else (crop(template(), FIRST, LAST), "mni152_hippocampus")
    path = OUTPUT / f"{name}.nii.gz"
    if not path.exists():
        volumes.save(image, path)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
