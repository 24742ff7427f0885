"""Crop a whole head around the left hippocampus, and segment that: `python -m examples.hippocampus`.

The head is the MNI152 template; labels, a table of volumes and a picture come to lie in `demo-output/`.
"""

import sys

import numpy as np

from examples.demo import segment, template

# First and last voxel of the crop in MNI space (mm): 37 × 48 × 45 voxels around the left hippocampus.
#
# The preset was trained on crops around one hippocampus (Medical Segmentation Decathlon, Task04), and all 210 of them
# show the left one: brainstem on the right of the crop, temporal lobe on its left. The right one of the template would
# be new to the network. In MNI space the left hippocampus spans about x = -37 … -14, y = -41 … -5, z = -30 … 5 mm; the
# training crops leave 6 and 8 mm beside it (left, right), 5 and 6 mm (back, front), 5 and 5 mm (below, above). This
# crop does the same, and each of its sides lies in the range of theirs (32-43 × 40-59 × 24-47 voxels).
FIRST, LAST = (-43, -46, -35), (-7, 1, 9)


def main():
    """Segments the crop."""
    print("The left hippocampus of the MNI152 template, 1 mm")
    image = crop(template(), FIRST, LAST)
    return segment(image, "mni152_hippocampus", "densenet3d_pe", "hippocampus", print_volumes)


def crop(image, first, last):
    """Returns the part of an upright image between two positions in mm, both included."""
    start, stop = np.rint(np.linalg.solve(image.affine, np.array([[*first, 1], [*last, 1]]).T)).astype(int)[:3].T
    return image.slicer[tuple(slice(low, high + 1) for low, high in zip(start, stop))]


def print_volumes(rows):
    """Prints the volume of each part, and of both together."""
    for row in rows:
        print(f"{row['structure']:<24}{float(row['mm3']) / 1000:6.2f} cm³")
    total = sum(float(row["mm3"]) for row in rows) / 1000
    # The training scans' mean is 3.3 cm³, and the template's brain mask holds 1.9 litres, usual are about 1.4.
    print(f"{'together':<24}{total:6.2f} cm³  (a large one: the template's head is larger than life)")


if __name__ == "__main__":
    sys.exit(main())
