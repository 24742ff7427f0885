"""Reading of one DICOM scan: from its files to an array in space."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np

from recalib_keras.core.errors import VolumeError, warn_of_scan
from recalib_keras.volumes.dicom.choice import choose_volume
from recalib_keras.volumes.dicom.files import image_headers, import_pydicom
from recalib_keras.volumes.dicom.frames import Frame, frames_of
from recalib_keras.volumes.dicom.pixels import intensities
from recalib_keras.volumes.dicom.series import check_one_series, without_copies
from recalib_keras.volumes.dicom.stack import affine_of, doubts_about, sorted_frames
from recalib_keras.volumes.dicom.tags import tag_value
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.placement import check_extent, place
from recalib_keras.volumes.volume import Volume

INVERTED = (
    "low values are bright (MONOCHROME1 or PresentationLUTShape INVERSE); the grey scale was inverted, so the values "
    "are not those of the modality"
)


def read_series(path: str | os.PathLike, volume: int | None = None) -> Volume:
    """Returns the scan in a folder of DICOM files of one series, or in one multi-frame file.

    File names and order do not matter. Files that are not DICOM, and DICOM objects that are not images (`DICOMDIR`,
    reports, structures), are ignored; slices that were exported twice count once. The slices are sorted along their
    normal. The third axis of the affine is the mean step between slices, so a tilted gantry gives a sheared affine.

    Args:
        path: The folder of the slices, whose subfolders are not searched, or a multi-frame file.
        volume: Which volume of a series of several (echoes, b-values, time points …), counted from 0.

    Returns:
        The scan, float32, with a new NIfTI header. Rescale slope and intercept are applied (CT: Hounsfield units), a
        grey scale whose low values are bright is inverted, and padding gets the lowest intensity; see
        `recalib_keras.volumes.dicom.pixels.intensities`.

    Raises:
        ImportError: pydicom is not installed.
        VolumeError: No series, several series, or several volumes of which none is chosen; colour images; pixels that
            cannot be decoded; damaged files or values; slices that are missing, shifted, duplicate or of another kind.

    Warns:
        ScanWarning: The grey scale of a CT or PET was inverted; slices lie unevenly; headers say that slices at an end
            or between the others may be missing.
    """
    import_pydicom()
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about odd but harmless tags
        frames = series_frames(path)
        chosen, count = choose_volume(frames, volume, path)
        chosen = sorted_frames(chosen)
        if len(frames) == 1 and path.is_file() and frames[0].number is None:
            raise _one_slice(path)
        grid = _grid(chosen, path)
        doubts = [INVERTED] if chosen[0].is_inverted and _has_unit(chosen[0]) else []
        doubts += doubts_about(chosen, is_all=count == 1)
        array = intensities(chosen, path)
    for doubt in doubts:
        warn_of_scan(doubt, path)
    return Volume(array, grid, _header(grid), path)


def volume_frames(path: str | os.PathLike, volume: int | None = None) -> list[Frame]:
    """Returns the frames of the volume that `read_series` reads, in the order of its slices.

    Args:
        path: See `read_series`.
        volume: See `read_series`.

    Raises:
        ImportError: pydicom is not installed.
        VolumeError: See `read_series`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sorted_frames(choose_volume(series_frames(path), volume, Path(path))[0])


def series_frames(path: str | os.PathLike) -> list[Frame]:
    """Returns the frames of the series that `read_series` reads, in the order of file names, without copies.

    Args:
        path: See `read_series`.

    Raises:
        ImportError: pydicom is not installed.
        VolumeError: See `read_series`.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frames = [frame for file, header in image_headers(path) for frame in frames_of(file, header)]
        check_one_series(frames, path)
        return without_copies(frames)


def _has_unit(frame):
    """Returns whether the values have a unit (Hounsfield units, Bq/ml), which an inversion destroys."""
    return tag_value(frame.header, "Modality", str, frame.file, default="") in ("CT", "PT")


def _one_slice(path):
    return VolumeError(
        file=path,
        expected="a folder of DICOM slices, or one multi-frame file",
        received="one slice",
        remedy=f"give the folder that holds all slices: {path.parent}",
    )


def _grid(frames, path):
    rows, columns = frames[0].shape
    try:
        grid = Grid((columns, rows, len(frames)), affine_of(frames, path))
        check_extent(grid)
    except VolumeError as error:
        raise error.at(path) from None
    return grid


def _header(grid):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape(grid.shape)
    place(header, grid.affine)
    return header
