"""Scans on disk with any header, and the check that one is refused."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from nibabel.freesurfer.mghformat import header_dtype

from recalib_keras.volumes import VolumeError, read


def refused(match, path, volume=None, reader=read):
    """Check that the scan is refused, with nothing but one line."""
    with pytest.raises(VolumeError, match=match) as caught:
        reader(path, volume)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value) and "got" in str(caught.value)


def stored(path, array=None, affine=None, edit=None, **fields):
    """Write a NIfTI file whose header fields are set to `fields` behind nibabel's back."""
    array = np.arange(60, dtype=np.float32).reshape(5, 4, 3) if array is None else array
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    data = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for field, value in fields.items():
        header[field] = value
    if edit is not None:
        edit(header)
    data[:348] = header.binaryblock
    path.write_bytes(data)
    return path


def mgh(path, **fields):
    """Write an MGH or MGZ file whose header fields are set to `fields` behind nibabel's back."""
    nib.save(nib.MGHImage(np.arange(60, dtype=np.float32).reshape(5, 4, 3), np.eye(4)), path)
    opened = gzip.open if path.suffix == ".mgz" else open
    with opened(path, "rb") as file:
        data = bytearray(file.read())
    header = np.frombuffer(data, header_dtype, count=1)
    for field, value in fields.items():
        header[field] = value
    with opened(path, "wb") as file:
        file.write(data)
    return path
