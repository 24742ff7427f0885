"""How large a head is, so that scans show all of it."""

import nibabel as nib
import numpy as np

# What a brain with the head around it takes from left to right, back to front and bottom to top, in mm; the neck lies
# beyond.
HEAD = (192.0, 224.0, 192.0)


def whole_slices(window, orientation, spacing):
    """Returns a window with the whole head along each axis on which it has but one voxel: a 2-D network's slices.

    Args:
        window: three sizes in voxels.
        orientation: three letters, such as `"RAS"`.
        spacing: voxel size in mm, one number or three.
    """
    axes = nib.orientations.axcodes2ornt(orientation)[:, 0].astype(int)
    sizes = np.rint(np.array(HEAD)[axes] / spacing).astype(int)
    return tuple(int(whole) if size == 1 else size for size, whole in zip(window, sizes))
