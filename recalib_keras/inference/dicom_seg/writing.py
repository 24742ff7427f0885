"""Writing of a label map as a DICOM Segmentation object that belongs to the series it was made from."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import recalib_keras
from recalib_keras.core.errors import VolumeError, missing_package
from recalib_keras.core.files import atomic_write
from recalib_keras.core.messages import listed
from recalib_keras.inference.dicom_seg.codes import PRIVATE, Code, code_of
from recalib_keras.volumes.dicom import volume_frames
from recalib_keras.volumes.dicom.frames import Frame
from recalib_keras.zoo import Label

NAME = "recalib-keras"
LONGEST = 64  # letters of a DICOM text (LO)
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "SOPClassUID")
# What a segmentation copies from its series; DICOM wants the tags, but they may be empty.
COPIED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)


def import_highdicom() -> ModuleType:
    """Returns the module highdicom.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import highdicom
    except ImportError as error:
        command = 'pip install "recalib-keras[seg]"'
        raise missing_package("writing a DICOM Segmentation object", "highdicom", command) from error
    return highdicom


def check_series(series: str | os.PathLike, volume: int | None = None) -> None:
    """Checks that a series has all that a DICOM Segmentation object refers to.

    Args:
        series: The folder or multi-frame file.
        volume: Which volume of a series of several.

    Raises:
        VolumeError: It lacks a UID, cannot be read, or lies in several multi-frame files.
    """
    _source(volume_frames(series, volume), Path(series))


def write_dicom_seg(
    path: str | os.PathLike,
    labels: np.ndarray,
    structures: Sequence[Label],
    series: str | os.PathLike,
    volume: int | None = None,
    made_by: str = "",
) -> Path:
    """Writes a DICOM Segmentation object: a binary segment for each structure, on the slices of its series.

    It refers to the slices of the series, and has its patient, study and frame of reference. Segments are numbered
    from 1 in the order of the structures, whether the scan shows them or not. Structures that include others overlap.

    Args:
        path: The file to write.
        labels: Label numbers on the grid of the series as `recalib_keras.volumes.read` gives it.
        structures: The structures.
        series: The folder or multi-frame file that the labels were made from.
        volume: Which volume of a series of several.
        made_by: Preset and weights, in words.

    Returns:
        `path`.

    Raises:
        ImportError: highdicom or pydicom is not installed.
        VolumeError: The series cannot be read, or lacks what a segmentation must refer to.
        WriteError: The file cannot be written.
    """
    highdicom = import_highdicom()
    frames = volume_frames(series, volume)
    source, pixels = _source(frames, Path(series)), _pixels(labels, structures)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd but harmless tags of the series
        found = highdicom.seg.Segmentation(
            source_images=source,
            pixel_array=pixels,
            omit_empty_frames=bool(pixels.any()),  # of an object without any voxel highdicom keeps all, and says so
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _description(highdicom, number, one, made_by) for number, one in enumerate(structures, 1)
            ],
            series_instance_uid=highdicom.UID(),
            series_number=_series_number(source[0]),
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=NAME,
            manufacturer_model_name=(made_by or NAME)[:LONGEST],
            software_versions=recalib_keras.__version__,
            device_serial_number="none",
            content_label="SEGMENTATION",
            content_description=f"{NAME}: {len(structures)} structures"[:LONGEST],
            series_description=f"Segmentation by {NAME}",
            **_geometry(highdicom, frames),
        )
        _refer_to_frames(found, frames)
        _name_scheme(found)
        return atomic_write(path, found.save_as)


def _source(frames: Sequence[Frame], series: Path) -> list[Any]:
    """Returns the headers of the slices, or that of one multi-frame file, with what their copies must have."""
    files = {frame.file: frame for frame in frames}
    if frames[0].number is not None and len(files) > 1:
        raise VolumeError(
            file=series,
            expected="slices, or one multi-frame file, for a DICOM Segmentation object",
            received=f"{len(files)} multi-frame files",
            remedy="leave --dicom-seg out",
        )
    return [_completed(frame.header, file) for file, frame in files.items()]


def _completed(header, file):
    header = copy.copy(header)
    for tag in ("SOPInstanceUID", "SOPClassUID"):
        if not header.get(tag):  # programs that remove names may empty these, too
            setattr(header, tag, header.file_meta.get(f"MediaStorage{tag}"))
    missing = [tag for tag in NEEDED if not header.get(tag)]
    if missing:
        raise VolumeError(
            file=file,
            expected=f"{listed(missing)} for a DICOM Segmentation object to refer to",
            received="none",
            remedy="export the series again with its UIDs, or leave --dicom-seg out",
        )
    for tag in COPIED:
        if tag not in header:
            setattr(header, tag, None)
    return header


def _pixels(labels, structures):
    """Returns the number of the segment of each voxel, `(slices, rows, columns)`; masks behind, if they overlap."""
    planes = labels.transpose(2, 1, 0)
    if any(one.includes for one in structures):
        return np.stack([np.isin(planes, one.numbers) for one in structures], axis=-1).astype("uint8")
    numbers = np.zeros(planes.shape, "uint8" if len(structures) < 256 else "uint16")
    for number, one in enumerate(structures, 1):
        numbers[planes == one.id] = number
    return numbers


def _description(highdicom, number, structure, made_by):
    code = code_of(structure.name)
    described = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=structure.name[:LONGEST],
        segmented_property_category=_concept(highdicom, code.category),
        segmented_property_type=_concept(highdicom, code.type),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=(made_by or NAME)[:LONGEST],
            family=_concept(highdicom, Code("123110", "DCM", "Artificial Intelligence")),
            version=recalib_keras.__version__,
            source=NAME,
        ),
        tracking_id=structure.name[:LONGEST],
        tracking_uid=highdicom.UID(),
        display_color=highdicom.color.CIELabColor.from_rgb(*structure.color),
    )
    if code.modifier is not None:
        modifiers = [_concept(highdicom, code.modifier)]
        described.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifiers
    return described


def _concept(highdicom, code):
    return highdicom.sr.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def _series_number(header):
    """Returns a number that sorts behind the series and hardly any other has."""
    number = header.get("SeriesNumber")
    return 100 * int(number) + 1 if number is not None and 0 <= int(number) < 10**6 else 1


def _geometry(highdicom, frames):
    """Returns the places of the frames of a multi-frame file, of which the labels may be a part, in another order."""
    if frames[0].number is None:
        return {}
    patient = highdicom.CoordinateSystemNames.PATIENT
    distance = float(np.dot(frames[-1].position - frames[0].position, frames[0].normal)) / max(1, len(frames) - 1)
    thickness = distance or float(frames[0].part("PixelMeasuresSequence").get("SliceThickness") or 1)
    return {
        "plane_positions": [
            highdicom.PlanePositionSequence(patient, image_position=frame.position.tolist()) for frame in frames
        ],
        "plane_orientation": highdicom.PlaneOrientationSequence(patient, frames[0].orientation.tolist()),
        "pixel_measures": highdicom.PixelMeasuresSequence(frames[0].spacing.tolist(), thickness),
    }


def _refer_to_frames(dataset, frames):
    """Lets each frame refer to that of the chosen volume: highdicom takes the first one at its place."""
    numbers = {_rounded(frame.position): frame.number + 1 for frame in frames if frame.number is not None}
    for groups in dataset.PerFrameFunctionalGroupsSequence if numbers else ():
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        for derived in groups.get("DerivationImageSequence", ()):
            derived.SourceImageSequence[0].ReferencedFrameNumber = numbers[_rounded(position)]


def _rounded(position):
    return tuple(round(float(value), 3) for value in position)


def _name_scheme(dataset):
    """Says whose the private codes are, if there are any."""
    types = [one.SegmentedPropertyTypeCodeSequence[0] for one in dataset.SegmentSequence]
    if not any(code.CodingSchemeDesignator == PRIVATE for code in types):
        return
    from pydicom import Dataset

    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE
    scheme.CodingSchemeName = f"Structures of {NAME} without a standard code, by their names"
    scheme.CodingSchemeResponsibleOrganization = NAME
    dataset.CodingSchemeIdentificationSequence = [scheme]
