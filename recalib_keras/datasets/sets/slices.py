"""Slices in a file each: PNG masks, and where in a volume each DICOM file belongs."""

import re
import warnings

import numpy as np

from recalib_keras.datasets.folders import visible_files
from recalib_keras.volumes import VolumeError


def placed_slices(folder, grid):
    """Returns the DICOM slices of a folder in the order of their names, as `(path, index along the third axis)`.

    Args:
        folder: `pathlib.Path` of one series.
        grid: the grid that `recalib_keras.volumes.read_series` gave for it.
    """
    paths, positions = [], []
    for path in sorted(visible_files(folder), key=by_number):
        position = _position(path)
        if position is not None:
            paths.append(path)
            # DICOM counts x to the left and y to the back, the grid to the right and to the front.
            positions.append((-position[0], -position[1], position[2], 1))
    voxels = np.linalg.solve(grid.affine, np.array(positions, dtype=np.float64).T)
    return list(zip(paths, np.rint(voxels[2]).astype(int).tolist()))


def _position(path):
    """Returns where a DICOM slice lies (mm), or None for files that reading a series passes over."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on odd but harmless tags
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except pydicom.errors.InvalidDicomError:
            return None
        return header.ImagePositionPatient if "Rows" in header else None


def by_number(path):
    """Returns a key that sorts paths by name with the numbers in them as numbers: IMG-2 before IMG-10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def mask_levels(path):
    """Returns the grey levels of a PNG file, uint8 `(columns, rows)`; black and white ones are 0 and 255.

    Raises:
        ImportError: Pillow is not installed.
        VolumeError: the file is no grey image.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            'reading PNG masks needs Pillow, which is not installed; run: pip install "recalib-keras[datasets]"'
        ) from error
    try:
        with Image.open(path) as image:
            mode = image.mode
            levels = np.asarray(image.convert("L"))
    except Exception as error:  # Pillow raises OSError, SyntaxError and more for broken files
        raise VolumeError(f"{path}: expected a PNG mask, got a file that is none or is damaged ({error})") from error
    if mode not in ("1", "L"):
        raise VolumeError(f"{path}: expected a mask of grey levels from 0 to 255, got an image of mode {mode!r}")
    # Pixel rows run along y: transposed, the first array axis is x, as in volumes read from DICOM.
    return levels.T
