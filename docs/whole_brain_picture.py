"""Draws the picture of the README, `pictures/whole_brain.png`: the MNI152 template, segmented.

Run it with `python -m docs.whole_brain_picture`, or with a label map of the template to draw this one. The picture is
the one that `recalib segment mni152.nii.gz -o results --overlay-slices 5` writes, with 256 colours.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from nilearn.datasets import load_mni152_template
from PIL import Image

import recalib_keras
from docs.small_png import write_small_png
from recalib_keras import evaluation, volumes, zoo

TARGET = Path(__file__).with_name("pictures") / "whole_brain.png"
PRESET, WEIGHTS, SLICES = "densenet3d_pe", "whole_brain", 5


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", nargs="?", type=Path, metavar="LABELS", help="label map (default: segment it now)")
    given = parser.parse_args().labels
    template = load_mni152_template(resolution=1)
    labels = recalib_keras.segment(template, PRESET, WEIGHTS) if given is None else volumes.read_labels(given)
    array = labels.array if isinstance(labels, volumes.Volume) else np.asarray(labels.dataobj)
    structures = zoo.weight_set(PRESET, WEIGHTS).labels[1:]
    with tempfile.TemporaryDirectory() as folder:
        drawn = evaluation.overlay(volumes.read(template), array, structures, Path(folder) / "picture.png", SLICES)
        write_small_png(Image.open(drawn), TARGET)
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
