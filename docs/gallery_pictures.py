"""Draws the pictures of the gallery and of the start page: `python -m docs.gallery_pictures [PRESET:WEIGHTS …]`.

Each shows the MNI152 template, or a crop of it, segmented by a weight set of the zoo. Label maps stay in `demo-output/`
and are used again. All weight sets take some minutes; those of 3-D networks of the whole brain need 4 GB of memory.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from docs.site.gallery import DOCS, picture
from docs.small_png import write_small_png
from examples.demo import OUTPUT, template
from examples.hippocampus import FIRST, LAST, crop
from recalib_keras import volumes, zoo
from recalib_keras.cli.main import main as recalib
from recalib_keras.evaluation.figures.slices import VIEWS
from recalib_keras.reports.pictures import plane
from recalib_keras.reports.viewer import viewer_scan

ENGINE = "--engine", "openvino", "--precision", "float32"
OPACITY = 0.6
HEIGHT, COLORS = 240, 96  # of a picture: pixels, and entries of its palette
SAGITTAL, CORONAL, _ = VIEWS
CROPPED = "hippocampus"  # the weights that expect a crop, not a whole head
START = DOCS / "pictures" / "start.png"
START_WEIGHTS = "densenet3d_pe", "whole_brain"


def main(names: Sequence[str]) -> int:
    """Draws the pictures of some weight sets, or of all."""
    chosen = [tuple(name.split(":")) for name in names] or [(entry.name, entry.weights) for entry in zoo.list()]
    for name, weights in chosen:
        scan = _scan(is_whole=weights != CROPPED)
        folder = OUTPUT / "gallery" / f"{name}_{weights}"
        code = recalib(["segment", str(scan), "-o", str(folder), "--preset", name, "--weights", weights, *ENGINE])
        if code:
            return code
        draw(scan, folder / f"{scan.name.removesuffix('.nii.gz')}_labels.nii.gz", name, weights)
    return 0


def draw(scan: Path, labels: Path, name: str, weights: str) -> None:
    """Writes the picture of a weight set, and that of the start page if it is the one shown there.

    It is the slice that shows most structures, in the colours of all pictures.

    Args:
        scan: The file of the scan.
        labels: The file of the label map on its grid.
        name: The preset.
        weights: Its weight set or ensemble.
    """
    preset = zoo.info(name)
    structures = preset.weight_sets[next(iter(preset.shares(weights)))].labels[1:]
    shown = viewer_scan(volumes.read(scan), volumes.read_labels(labels).array, structures)
    # The coronal slice of a brain, the sagittal one of a hippocampus, show most structures.
    view = SAGITTAL if weights == CROPPED else CORONAL
    _write(picture(name, weights), plane(shown, view, HEIGHT, OPACITY))
    if (name, weights) == START_WEIGHTS:
        sides = [plane(shown, view, 2 * HEIGHT, opacity) for opacity in (0.0, OPACITY)]
        _write(START, np.concatenate(sides, axis=1))


def _write(path, pixels):
    write_small_png(Image.fromarray(pixels), path, COLORS)


def _scan(is_whole):
    image, name = (template(), "mni152") if is_whole else (crop(template(), FIRST, LAST), "mni152_hippocampus")
    path = OUTPUT / f"{name}.nii.gz"
    if not path.exists():
        volumes.save(image, path)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
