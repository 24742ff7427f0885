"""The good scan that the corpus damages, and how its files are written."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import header_dtype

from .cases import Place

SHAPE = (7, 6, 5)
ARRAY = np.random.default_rng(0).uniform(1, 100, SHAPE).astype(np.float32)
AFFINE = np.array([[-1.0, 0, 0, 3], [0, 1.5, 0, -4], [0, 0, 2, 1.0], [0, 0, 0, 1]])
PLACE = Place(SHAPE, AFFINE)
NIFTI = {1: (nib.Nifti1Image, nib.Nifti1Header), 2: (nib.Nifti2Image, nib.Nifti2Header)}


def nifti(path: Path, version: int = 1, array: np.ndarray = ARRAY, affine: np.ndarray = AFFINE, **fields) -> Path:
    """Writes a NIfTI file whose header fields are set behind nibabel's back; returns its path.

    Args:
        path: The file, which ends in `.nii`.
        version: 1 or 2.
        array: The voxels.
        affine: From voxel indices to mm.
        **fields: Values of header fields; or of single elements, as `pixdim_1`.
    """
    image_class, header_class = NIFTI[version]
    image = image_class(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    nib.save(image, path)
    data = bytearray(path.read_bytes())
    size = header_class.template_dtype.itemsize
    data[:size] = with_fields(header_class.template_dtype, bytes(data[:size]), fields)
    path.write_bytes(data)
    return path


def with_fields(dtype: np.dtype, block: bytes, fields: dict[str, object]) -> bytes:
    """Returns a header with other values in some fields.

    Args:
        dtype: Of the header.
        block: The header.
        fields: See `nifti`.
    """
    header = np.frombuffer(block, dtype, count=1).copy()
    with np.errstate(all="ignore"):
        for name, value in fields.items():
            field, _, index = name.rpartition("_") if name not in dtype.names else (name, "", "")
            target = header[field][0, int(index)] if index else header[field]
            cast = np.array(value).astype(target.dtype)
            if index:
                header[field][0, int(index)] = cast
            else:
                header[field] = cast
    return header.tobytes()


def mgh(path: Path, **fields) -> Path:
    """Writes an MGH or MGZ file whose header fields are set behind nibabel's back; returns its path.

    Args:
        path: The file.
        **fields: See `nifti`.
    """
    nib.save(nib.MGHImage(ARRAY, AFFINE), path)
    opened = gzip.open if path.suffix == ".mgz" else open
    with opened(path, "rb") as file:
        data = bytearray(file.read())
    data[: header_dtype.itemsize] = with_fields(header_dtype, bytes(data[: header_dtype.itemsize]), fields)
    with opened(path, "wb") as file:
        file.write(data)
    return path


def compressed(path: Path) -> Path:
    """Returns the path of a gzip-compressed copy of a file, `.gz` added to its name.

    Args:
        path: The file.
    """
    target = path.with_name(f"{path.name}.gz")
    target.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return target
