"""Crops a whole head around the left hippocampus and segments the crop: `python -m examples.hippocampus`.

The head is the MNI152 template. The script writes labels, a table of volumes and a picture to `demo-output/`.
"""

import sys
from collections.abc import Sequence

import numpy as np
from nibabel.spatialimages import SpatialImage

from examples.demo import segment, template

# First and last voxel of the crop in MNI space (mm): 37 × 48 × 45 voxels around the left hippocampus.
#
# The preset was trained on crops around one hippocampus (Medical Segmentation Decathlon, Task04). All 210 crops show
# the left one: the brainstem is on the right of the crop, the temporal lobe on its left. The network has never seen a
# right hippocampus. In MNI space the left hippocampus spans about x = -37 … -14, y = -41 … -5, z = -30 … 5 mm. The
# training crops have a margin of 6 and 8 mm (left, right), 5 and 6 mm (back, front), 5 and 5 mm (below, above). This
# crop has the same margins, and each of its sides is in the range of the training crops (32-43 × 40-59 × 24-47 voxels).
FIRST, LAST = (-43, -46, -35), (-7, 1, 9)


def main() -> int:
    """Segments the crop and returns the exit code."""
    print("The left hippocampus of the MNI152 template, 1 mm")
    image = crop(template(), FIRST, LAST)
    return segment(image, "mni152_hippocampus", "densenet3d_pe", "hippocampus", print_volumes)


def crop(image: SpatialImage, first: Sequence[float], last: Sequence[float]) -> SpatialImage:
    """Returns the part of an image in RAS orientation between two positions in mm, both included."""
    start, stop = np.rint(np.linalg.solve(image.affine, np.array([[*first, 1], [*last, 1]]).T)).astype(int)[:3].T
    return image.slicer[tuple(slice(low, high + 1) for low, high in zip(start, stop))]


def print_volumes(rows: Sequence[dict[str, str]]) -> None:
    """Prints the volume of each part and of both together."""
    for row in rows:
        print(f"{row['structure']:<24}{float(row['mm3']) / 1000:6.2f} cm³")
    total = sum(float(row["mm3"]) for row in rows) / 1000
    # The mean of the training scans is 3.3 cm³. The template's brain mask has 1.9 litres; a usual brain has about 1.4.
    print(f"{'together':<24}{total:6.2f} cm³  (a large one: the template's head is larger than life)")


if __name__ == "__main__":
    sys.exit(main())
