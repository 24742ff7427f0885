"""Reading of a folder that holds the slices of one DICOM series."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.names import SCAN_SUFFIXES
from recalib_keras.volumes.placement import place
from recalib_keras.volumes.volume import Volume

# In DICOM x grows to the patient's left and y to the back; in RAS+ to the right and to the front.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Slice gaps may differ by this share of their median (scanners round positions) …
GAP_TOLERANCE = 0.02
# … and the slices' directions by this much (cosines).
DIRECTION_TOLERANCE = 1e-3
NEEDED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")


def read_series(folder: str | os.PathLike) -> Volume:
    """Returns the scan in a folder of single-frame DICOM slices of one series; file names and order do not matter.

    Files that are not DICOM, and DICOM objects that are no images (`DICOMDIR`, reports, structures), are ignored. The
    slices are sorted along their normal. The third axis of the affine is the step between slices itself, so a tilted
    gantry gives a sheared affine.

    Args:
        folder: The folder of the slices. Its subfolders are not searched.

    Returns:
        The scan, float32, with rescale slope and intercept applied (CT: Hounsfield units) and a new NIfTI header.

    Raises:
        ImportError: pydicom is not installed.
        VolumeError: No series or several; multi-frame, colour or compressed files; slices that are missing, duplicate,
            or differ in shape or direction.
    """
    _import_pydicom()
    folder = Path(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about odd but harmless tags
        slices = _image_headers(folder)
        _check_one_series(slices, folder)
        _check_alike(slices, folder)
        slices, positions = _sorted_slices(slices, folder)
        affine = _affine(slices[0][1], positions, folder)
        array = np.empty((slices[0][1].Columns, slices[0][1].Rows, len(slices)), np.float32, order="F")
        for index, (path, _) in enumerate(slices):
            # Pixel rows run along y: transposed, the first array axis is x.
            array[:, :, index] = _intensities(path).T
    grid = Grid(array.shape, affine)
    return Volume(array, grid, _header(grid), folder)


def _import_pydicom():
    try:
        import pydicom
    except ImportError as error:
        raise ImportError(
            'reading DICOM needs pydicom, which is not installed; run: pip install "recalib-keras[dicom]"'
        ) from error
    return pydicom


def _image_headers(folder):
    """Returns `(path, header)` of every DICOM image in the folder, in the order of file names."""
    headers = _dicom_headers(folder)
    images = [(path, header) for path, header in headers if "Rows" in header]
    if not images:
        scans = sum(path.name.lower().endswith(SCAN_SUFFIXES) for path in Path(folder).iterdir())
        held = f"no DICOM images in it but {scans} of another format" if scans else "no DICOM images in it"
        remedy = f"give those by their names, such as {folder}/*" if scans else "give the folder that holds the slices"
        raise VolumeError(
            file=folder,
            expected="a folder of DICOM slices",
            received=f"a folder with {held} (its subfolders are not searched)",
            remedy=remedy,
        )
    kinds = {_kind(header) for _, header in images}
    for path, header in headers:
        # pydicom reads a truncated file up to its end; if it were ignored, an outermost slice could be lost.
        if "Rows" not in header and _kind(header) in kinds | {None}:
            raise _damaged(path, "it ends inside its header")
    return images


def _dicom_headers(folder):
    pydicom = _import_pydicom()
    found = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            found.append((path, pydicom.dcmread(path, stop_before_pixels=True)))
        except pydicom.errors.InvalidDicomError:  # some other file
            continue
        except Exception as error:  # a broken file raises one of a dozen errors
            raise _damaged(path, error) from error
    return found


def _kind(header):
    """Returns what the file says it is (CT image, MR image, report, directory, …); None if it ends before that."""
    return getattr(header.file_meta, "MediaStorageSOPClassUID", None)


def _damaged(path, reason):
    return VolumeError(
        file=path, expected="a DICOM file", received=f"a damaged one ({reason})", remedy="export it again"
    )


def _check_one_series(slices, folder):
    counts = Counter(str(header.get("SeriesInstanceUID", "no UID")) for _, header in slices)
    if len(counts) > 1:
        listing = ", ".join(f"{uid} ({count} files)" for uid, count in counts.most_common())
        raise VolumeError(
            file=folder,
            expected="one DICOM series",
            received=f"{len(counts)} series: {listing}",
            remedy="put each series into a folder of its own and give one of these folders",
        )


def _check_alike(slices, folder):
    _, first = slices[0]
    for path, header in slices:
        _check_single_frame(path, header)
        shapes = [(int(one.Rows), int(one.Columns)) for one in (first, header)]
        if shapes[0] != shapes[1]:
            raise VolumeError(
                file=folder,
                expected="slices of one shape",
                received=f"{shapes[0]} and, in {path.name}, {shapes[1]}",
                remedy="remove the slices that do not belong (a scout view, for instance)",
            )
        for tag in ("ImageOrientationPatient", "PixelSpacing"):
            if not np.allclose(_numbers(first, tag), _numbers(header, tag), atol=DIRECTION_TOLERANCE, rtol=0):
                raise VolumeError(
                    file=folder,
                    expected=f"slices of one {tag}",
                    received=f"{list(first[tag])} and, in {path.name}, {list(header[tag])}",
                    remedy="remove the slices that do not belong",
                )


def _check_single_frame(path, header):
    if int(header.get("NumberOfFrames", 1) or 1) > 1 or "PerFrameFunctionalGroupsSequence" in header:
        raise VolumeError(
            file=path,
            expected="single-frame DICOM slices",
            received="an enhanced multi-frame file",
            remedy="convert it to NIfTI first, with dcm2niix for instance",
        )
    missing = [tag for tag in NEEDED if header.get(tag) is None]
    if missing:
        raise VolumeError(
            file=path,
            expected="a DICOM slice with its place in space",
            received=f"one without {', '.join(missing)}",
            remedy="give the original series, not screenshots or other secondary images of it",
        )
    if int(header.get("SamplesPerPixel", 1)) != 1:
        raise VolumeError(
            file=path,
            expected="one grey value for each pixel",
            received="a colour image",
            remedy="give the original series",
        )


def _sorted_slices(slices, folder):
    """Returns the slices in the order of their place along the normal, and their positions `(slices, 3)` in mm."""
    normal = np.cross(*_numbers(slices[0][1], "ImageOrientationPatient").reshape(2, 3))
    along = [float(_numbers(header, "ImagePositionPatient") @ normal) for _, header in slices]
    order = np.argsort(along)
    slices = [slices[index] for index in order]
    _check_gaps(np.diff(np.array(along)[order]), slices, folder)
    return slices, np.array([_numbers(header, "ImagePositionPatient") for _, header in slices])


def _check_gaps(gaps, slices, folder):
    if gaps.size == 0:
        return
    usual = float(np.median(gaps))
    double = np.flatnonzero(gaps < GAP_TOLERANCE * max(usual, 1e-3))
    if double.size:
        names = [slices[double[0] + step][0].name for step in (0, 1)]
        raise VolumeError(
            file=folder,
            expected="one slice at each position",
            received=f"{double.size} duplicated positions, the first in {names[0]} and {names[1]}",
            remedy="split the series (by echo, phase or time point) into a folder each",
        )
    worst = int(np.abs(gaps - usual).argmax())
    if abs(gaps[worst] - usual) > GAP_TOLERANCE * usual:
        raise VolumeError(
            file=folder,
            expected=f"slices {usual:.2f} mm apart",
            received=f"a gap of {gaps[worst]:.2f} mm between {slices[worst][0].name} and {slices[worst + 1][0].name} "
            f"(slices {worst + 1} and {worst + 2} of {len(slices)})",
            remedy="add the missing slices, or resample the series to even spacing",
        )


def _affine(header, positions, folder):
    """Returns the affine, from voxel `(column, row, slice)` to mm (RAS+), of slices at `positions` (mm, LPS)."""
    along_row, along_column = _numbers(header, "ImageOrientationPatient").reshape(2, 3)
    between_rows, between_columns = _numbers(header, "PixelSpacing")
    affine = np.eye(4)
    affine[:3, 0] = along_row * between_columns
    affine[:3, 1] = along_column * between_rows
    if len(positions) > 1:
        affine[:3, 2] = (positions[-1] - positions[0]) / (len(positions) - 1)
    else:
        affine[:3, 2] = np.cross(along_row, along_column) * _slice_thickness(header, folder)
    affine[:3, 3] = positions[0]
    return LPS_TO_RAS @ affine


def _slice_thickness(header, folder):
    thickness = float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 0)
    if thickness <= 0:
        raise VolumeError(
            file=folder,
            expected="several slices or one with SliceThickness",
            received="one slice without it",
            remedy="give the whole series",
        )
    return thickness


def _intensities(path):
    dataset = _import_pydicom().dcmread(path)
    try:
        stored = dataset.pixel_array
    except Exception as error:  # a missing decoder, missing or truncated pixel data: pydicom raises many kinds
        syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
        coding = getattr(syntax, "name", "unknown transfer syntax")
        remedy = "install a decoder (pip install pylibjpeg[all])" if _is_compressed(syntax) else "export it again"
        raise VolumeError(
            file=path,
            expected="readable pixels",
            received=f"{coding} data that cannot be decoded",
            remedy=remedy,
        ) from error
    # A tag may be present and empty, hence no default in `get`.
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return stored * float(1 if slope is None else slope) + float(0 if intercept is None else intercept)


def _is_compressed(syntax):
    try:
        return bool(syntax.is_compressed)
    except (AttributeError, ValueError):  # no syntax named, or a private one
        return False


def _numbers(header, tag):
    return np.array(header[tag].value, dtype=np.float64)


def _header(grid):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape(grid.shape)
    place(header, grid.affine)
    return header
