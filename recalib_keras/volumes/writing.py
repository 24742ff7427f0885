"""Writing: labels become an image on their scan's own grid, and images become files."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.files import atomic_write
from recalib_keras.volumes.headers import is_nifti, millimetres
from recalib_keras.volumes.names import LABEL_SUFFIXES, MGH_SUFFIXES, NIFTI_SUFFIXES
from recalib_keras.volumes.placement import place, placement_codes
from recalib_keras.volumes.volume import Volume

DESCRIPTION = "recalib-keras"
# NIfTI-1 stores the number of voxels along an axis in 16 bits.
NIFTI1_MOST = np.iinfo(np.int16).max
# The integer types of the MGH format.
MGH_INTEGERS = (np.uint8, np.int16, np.int32)
# The fields of a NIfTI header that place its voxels.
GEOMETRY = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z", "xyzt_units"),
)


def label_image(labels: np.ndarray, volume: Volume) -> nib.Nifti1Image:
    """Returns labels as an image on the grid of the scan they were found in.

    The image has the smallest integer type that holds the labels. It overlays the scan in any viewer: it has the scan's
    affine to the bit, its qform and sform with their codes, and its unit. A scan that is not NIfTI gives both codes
    "scanner". A scan whose place is uncertain (Analyze, MGH without valid geometry) gives only an sform "aligned", the
    weakest code that readers use. The image is NIfTI-2 if the scan is, or if an axis is too long for NIfTI-1.

    Args:
        labels: Integer or boolean array of the scan's shape.
        volume: The scan.

    Raises:
        TypeError: `labels` is neither integer nor boolean.
        VolumeError: The shapes of labels and scan differ.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biu":
        raise TypeError(f"expected labels of an integer dtype, got {labels.dtype}; round them with astype first")
    if labels.shape != volume.grid.shape:
        raise VolumeError(
            file=volume.source, expected=f"labels of the scan's shape {volume.grid.shape}", received=str(labels.shape)
        )
    dtype = smallest_integer(labels)
    return placed_image(labels.astype(dtype, copy=False), dtype, volume)


def placed_image(array: Any, dtype: np.dtype, volume: Volume) -> nib.Nifti1Image:
    """Returns an image on the grid of a scan; see `label_image` for its place.

    Args:
        array: Values of the scan's shape, or with further axes behind; an array, or what nibabel takes for one.
        dtype: The type that a file of it has.
        volume: The scan.
    """
    use_nifti2 = isinstance(volume.header, nib.Nifti2Header) or max(array.shape) > NIFTI1_MOST
    image_class = nib.Nifti2Image if use_nifti2 else nib.Nifti1Image
    header, affine = _placed_header(image_class.header_class(), volume)
    header.set_data_shape(array.shape)
    header.set_data_dtype(dtype)
    header["descrip"] = DESCRIPTION
    return image_class(array, affine, header)


def smallest_integer(labels: np.ndarray) -> np.dtype:
    """Returns the smallest integer type that holds some labels: unsigned, or one of int16 to int64 if any is < 0.

    Args:
        labels: Integer or boolean array of at least one value.

    Example:
        >>> smallest_integer(np.array([0, 300])), smallest_integer(np.array([-1, 3]))
        (dtype('uint16'), dtype('int16'))
    """
    lowest, highest = int(labels.min()), int(labels.max())
    choices = (np.uint8, np.uint16, np.uint32, np.uint64) if lowest >= 0 else (np.int16, np.int32, np.int64)
    return _first_that_holds(choices, lowest, highest)


def save(image: nib.spatialimages.SpatialImage, path: str | os.PathLike) -> Path:
    """Writes an image atomically, in the format that the ending of `path` names.

    Args:
        image: A nibabel image.
        path: Ends in `.nii`, `.nii.gz`, `.mgz` or `.mgh`. Missing parent folders are created.

    Returns:
        `path` as a `Path`.

    Raises:
        VolumeError: The path has another ending, or MGH has no type for the values.
        WriteError: The file cannot be written.
    """
    name = Path(path).name.lower()
    if name.endswith(MGH_SUFFIXES):
        image = _as_mgh(image, path)
    elif not name.endswith(NIFTI_SUFFIXES):
        raise VolumeError(
            file=path,
            expected=f"a file name that ends in {', '.join(LABEL_SUFFIXES)}",
            received=repr(Path(path).name),
            remedy="add one of these endings",
        )
    elif not isinstance(image, nib.Nifti1Image):
        image = nib.Nifti1Image.from_image(image)
    # A copy, since a nibabel image remembers the file it is written to: here the temporary one.
    return atomic_write(path, copy.copy(image).to_filename)


def _placed_header(header, volume):
    """Returns `header` with the scan's place in space, and the affine that it then holds."""
    source = volume.header
    if is_nifti(source) and np.allclose(source.get_best_affine()[:3] * millimetres(source), volume.grid.affine[:3]):
        header.set_data_shape(volume.grid.shape)
        for field in GEOMETRY:
            header[field] = source[field]
        header["pixdim"][:4] = source["pixdim"][:4]
        # A header in another unit than mm holds another affine than the grid.
        return header, volume.grid.affine if millimetres(source) == 1 else source.get_best_affine()
    header.set_data_shape(volume.grid.shape)
    place(header, volume.grid.affine, *placement_codes(source))
    return header, volume.grid.affine


def _as_mgh(image, path):
    values = np.asanyarray(image.dataobj)
    if values.dtype.kind in "biu":
        lowest, highest = int(values.min()), int(values.max())
        try:
            values = values.astype(_first_that_holds(MGH_INTEGERS, lowest, highest))
        except VolumeError as error:
            raise error.at(path) from None
    else:
        values = values.astype(np.float32)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= millimetres(image.header)  # MGH knows no other unit
    return nib.MGHImage(values, affine)


def _first_that_holds(choices, lowest, highest):
    for dtype in choices:
        if np.iinfo(dtype).min <= lowest and highest <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise VolumeError(
        expected=f"labels that fit into {np.dtype(choices[-1])}",
        received=f"{lowest} to {highest}",
        remedy="write NIfTI, or use smaller label numbers",
    )
