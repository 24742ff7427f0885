"""The frames of DICOM files: a file holds one slice, or is an enhanced multi-frame file that holds many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes.dicom.tags import tag_items, tag_value
from recalib_keras.volumes.placement import SPACINGS

if TYPE_CHECKING:
    from pydicom import Dataset

NEEDED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
GREY = ("MONOCHROME1", "MONOCHROME2")
PER_FRAME, SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
# The sequences of an enhanced file that hold these tags.
MEASURES, POSITION, ORIENTATION = "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"
VALUES, CONTENT = "PixelValueTransformationSequence", "FrameContentSequence"
# Direction cosines may be rounded to two digits.
COSINE_ROUNDING = 0.02
MOST_FRAMES, MOST_ROWS = 100_000, 2**16 - 1
MOSAIC = "MOSAIC"
CONVERT = "convert it to NIfTI first, with dcm2niix for instance"
ODD = "if the file does not belong to the scan, move it out of the folder"
ORIGINAL = "give the original series, not screenshots or other secondary images of it"


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice of a scan, from a file of its own or of a multi-frame file.

    Args:
        file: The file.
        header: Its header.
        number: Which frame of the file, counted from 0; None if the file holds a single slice.
        groups: The functional groups of the frame and those that all frames share; none for a classic file, whose
            header says everything.
        shape: Rows and columns.
        position: Centre of the first pixel (mm, DICOM's axes: left, back, head).
        orientation: Direction cosines along a row, then along a column, `(6,)`.
        spacing: Distance between rows and between columns (mm).
    """

    file: Path
    header: Dataset
    number: int | None
    groups: tuple[Dataset, ...]
    shape: tuple[int, int]
    position: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray

    @property
    def name(self) -> str:
        """The file's name, and the frame's number in it, for messages."""
        return self.file.name if self.number is None else f"{self.file.name} (frame {self.number + 1})"

    @property
    def normal(self) -> np.ndarray:
        """The direction across the slice, a unit vector."""
        return np.cross(*self.orientation.reshape(2, 3))

    @property
    def is_inverted(self) -> bool:
        """Whether low values are bright."""
        shape = tag_value(self.header, "PresentationLUTShape", str, self.file, default="")
        return _photometric(self.file, self.header) == GREY[0] or shape == "INVERSE"

    def part(self, sequence: str) -> Dataset:
        """Returns the dataset that holds the tags of a functional group; the header if the frame lacks the group.

        Args:
            sequence: The group's name, such as `"PlanePositionSequence"`.
        """
        return _part(self.file, self.header, self.groups, sequence)


def frames_of(path: Path, header: Dataset) -> list[Frame]:
    """Returns the frames of a file in the order of the file.

    Args:
        path: The file.
        header: Its header.

    Raises:
        VolumeError: The file is not a grey image with a place in space, or a value is damaged.
    """
    _check_grey(path, header)
    count = tag_value(header, "NumberOfFrames", int, path, default=1, bounds=(0, MOST_FRAMES)) or 1
    frames = tag_items(header, PER_FRAME, path)
    shape = tuple(tag_value(header, tag, int, path, bounds=(1, MOST_ROWS)) for tag in ("Rows", "Columns"))
    if not frames:
        _check_single(path, header, count)
        return [_frame(path, header, None, (), shape)]
    if len(frames) != count:
        raise VolumeError(
            file=path,
            part=PER_FRAME,
            expected=f"one item for each of {count} frames (NumberOfFrames)",
            received=f"{len(frames)} items",
            remedy="export it again",
        )
    shared = tuple(tag_items(header, SHARED, path))
    return [_numbered_frame(path, header, number, (frame, *shared), shape) for number, frame in enumerate(frames)]


def _check_single(path, header, count):
    if count > 1 or SHARED in header:
        raise VolumeError(
            file=path,
            expected="a DICOM slice, or an enhanced multi-frame file with the place of each frame",
            received=f"{count} frames without their places (no {PER_FRAME})",
            remedy=f"{CONVERT}; {ODD}",
        )
    if MOSAIC in tag_value(header, "ImageType", str, path, count=None, default=()):
        raise VolumeError(
            file=path,
            expected="one slice in each file",
            received=f"a mosaic of all slices of a volume (ImageType {MOSAIC}), as Siemens writes functional series",
            remedy=CONVERT,
        )


def _check_grey(path, header):
    colours = tag_value(header, "SamplesPerPixel", int, path, default=1)
    if colours != 1 or _photometric(path, header) not in GREY:
        raise VolumeError(
            file=path,
            expected="one grey value for each pixel",
            received=f"a colour image ({_photometric(path, header)}, {colours} samples for each pixel)",
            remedy=f"give the original series; {ODD}",
        )
    if tag_value(header, "BitsAllocated", int, path, default=16) == 1 or "SegmentationType" in header:
        raise VolumeError(
            file=path,
            expected="a scan",
            received="a mask (a segmentation)",
            remedy=f"give the scan that it belongs to; {ODD}",
        )


def _photometric(path, header):
    return tag_value(header, "PhotometricInterpretation", str, path, default=GREY[1]).strip().upper()


def _numbered_frame(path, header, number, groups, shape):
    try:
        return _frame(path, header, number, groups, shape)
    except VolumeError as error:
        part = f"frame {number + 1}" + ("" if error.part is None else f": {error.part}")
        raise VolumeError(
            file=path, part=part, expected=error.expected, received=error.received, remedy=error.remedy
        ) from error


def _frame(path, header, number, groups, shape):
    parts = [_part(path, header, groups, sequence) for sequence in (POSITION, ORIENTATION, MEASURES)]
    missing = [tag for tag, part in zip(NEEDED, parts, strict=True) if _is_missing(part, tag)]
    if missing:
        raise VolumeError(
            file=path,
            expected="a DICOM slice with its place in space",
            received=f"one without {', '.join(missing)}",
            remedy=ORIGINAL,
        )
    position = np.array(tag_value(parts[0], NEEDED[0], float, path, count=3))
    orientation = np.array(tag_value(parts[1], NEEDED[1], float, path, count=6))
    spacing = np.array(tag_value(parts[2], NEEDED[2], float, path, count=2, bounds=SPACINGS))
    _check_directions(path, orientation)
    return Frame(path, header, number, groups, shape, position, orientation, spacing)


def _is_missing(part, tag):
    try:
        return part.get(tag) in (None, "", [])
    except Exception:  # damaged: reading it says how
        return False


def _check_directions(path, orientation):
    along_row, along_column = orientation.reshape(2, 3)
    lengths = math.hypot(*along_row), math.hypot(*along_column)
    if max(abs(length - 1) for length in lengths) > COSINE_ROUNDING or abs(along_row @ along_column) > COSINE_ROUNDING:
        raise VolumeError(
            file=path,
            part=NEEDED[1],
            expected="two directions of length 1 at a right angle",
            received=f"{[round(float(cosine), 4) for cosine in orientation]}",
            remedy="export it again, or correct this tag",
        )


def _part(path, header, groups, sequence):
    for group in groups:
        items = tag_items(group, sequence, path)
        if len(items):
            return items[0]
    return header
