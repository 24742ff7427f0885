"""Slices in a file each: PNG masks, and where in a volume each DICOM file belongs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from recalib_keras.core.errors import missing_package
from recalib_keras.volumes import Grid, VolumeError
from recalib_keras.volumes.dicom import series_frames


def placed_slices(folder: Path, grid: Grid) -> list[tuple[Path, int]]:
    """Returns the DICOM slices of a folder in the order of their names, as `(path, index along the third axis)`.

    Args:
        folder: Holds one series.
        grid: The grid that `recalib_keras.volumes.read` gave for it.

    Raises:
        VolumeError: A file cannot be read, or a value in it is damaged.
    """
    frames = sorted(series_frames(folder), key=lambda frame: by_number(frame.file))
    # DICOM counts x to the left and y to the back, the grid to the right and to the front.
    positions = np.array([(*frame.position * (-1, -1, 1), 1) for frame in frames])
    voxels = np.linalg.solve(grid.affine, positions.T)
    return list(zip((frame.file for frame in frames), np.rint(voxels[2]).astype(int).tolist()))


def by_number(path: Path) -> list[int | str]:
    """Returns a key that sorts paths by name with the numbers in them as numbers: IMG-2 before IMG-10.

    Args:
        path: The file.
    """
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def mask_levels(path: Path) -> np.ndarray:
    """Returns the grey levels of a PNG file, uint8 `(columns, rows)`; a black and white file has 0 and 255.

    Args:
        path: The file.

    Raises:
        ImportError: Pillow is not installed.
        VolumeError: The file is not a grey image.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_package("reading PNG masks", "Pillow", 'pip install "recalib-keras[datasets]"') from error
    try:
        with Image.open(path) as image:
            mode = image.mode
            levels = np.asarray(image.convert("L"))
    except Exception as error:  # Pillow raises OSError, SyntaxError and more for broken files
        raise VolumeError(
            file=path, expected="a PNG mask", received=f"a damaged file, or one of another format ({error})"
        ) from error
    if mode not in ("1", "L"):
        raise VolumeError(
            file=path, expected="a mask of grey levels from 0 to 255", received=f"an image of mode {mode!r}"
        )
    # Pixel rows run along y: transposed, the first array axis is x, as in volumes read from DICOM.
    return levels.T
