"""The slices of a volume in order, and the even grid that they lie on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.messages import counted
from recalib_keras.volumes.dicom.frames import MEASURES, Frame
from recalib_keras.volumes.dicom.tags import tag_value
from recalib_keras.volumes.placement import SPACINGS

# In DICOM x grows to the patient's left and y to the back; in RAS+ to the right and to the front.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# A slice may lie so far (mm) from its place in an even grid: positions are rounded to 0.1 mm. With thick slices so much
# of the distance between them, never a quarter of it: a missing slice moves its neighbours by half of it or more.
ROUNDING, SHARE, MOST_SHARE = 0.101, 0.02, 0.25
# The same sideways, in parts of a pixel.
SIDEWAYS = 0.25
# Unevenness of positions up to this (mm) is not reported.
UNREPORTED = 0.02
# A gap of more than this many steps means that slices are missing.
MISSING = 1.5


def sorted_frames(frames: Sequence[Frame]) -> list[Frame]:
    """Returns frames in the order of their positions along their normal.

    Args:
        frames: Those of one volume.
    """
    normal = frames[0].normal
    order = np.argsort([float(frame.position @ normal) for frame in frames])
    return [frames[index] for index in order]


def affine_of(frames: Sequence[Frame], path: Path) -> np.ndarray:
    """Returns the affine, from voxel `(column, row, slice)` to mm (RAS+).

    The third axis is the mean step from slice to slice, so a tilted gantry gives a sheared affine.

    Args:
        frames: In order.
        path: The folder or file, for messages.

    Raises:
        VolumeError: The slices do not lie on an even grid: some are missing or shifted.
    """
    first, last = frames[0], frames[-1]
    along_row, along_column = first.orientation.reshape(2, 3)
    between_rows, between_columns = first.spacing
    affine = np.eye(4)
    affine[:3, 0] = along_row * between_columns
    affine[:3, 1] = along_column * between_rows
    if len(frames) > 1:
        affine[:3, 2] = (last.position - first.position) / (len(frames) - 1)
        _check_even(frames, affine[:3, 2], path)
    else:
        affine[:3, 2] = np.cross(along_row, along_column) * _thickness(first, path)
    affine[:3, 3] = first.position
    return LPS_TO_RAS @ affine


def _thickness(frame, path):
    part = frame.part(MEASURES)
    for tag in ("SpacingBetweenSlices", "SliceThickness"):
        # Some programs write 0 for "unknown".
        thickness = tag_value(part, tag, float, frame.file, default=0, bounds=(0, SPACINGS[1]))
        if thickness > 0:
            return thickness
    raise VolumeError(
        file=path,
        expected="several slices or one with SliceThickness",
        received="one slice without it",
        remedy="give the whole series",
    )


def _check_even(frames, step, path):
    normal, positions = frames[0].normal, np.array([frame.position for frame in frames])
    along, sideways = _deviations(positions, step, normal)
    distance = float(step @ normal)
    if along.max() > _tolerance(distance):
        raise _uneven(frames, positions @ normal, path)
    if np.linalg.norm(step - distance * normal) > distance:
        raise VolumeError(
            file=path,
            expected="slices stacked along their normal, tilted by 45 degrees at most",
            received=f"a step of {_shown(step)} mm between slices, {_angle(step, normal):.0f} degrees off",
            remedy="export the series again: its ImagePositionPatient or ImageOrientationPatient is wrong",
        )
    if sideways.max() > max(ROUNDING, SIDEWAYS * frames[0].spacing.min()):
        worst = int(sideways.argmax())
        raise VolumeError(
            file=path,
            expected="slices in one straight line",
            received=f"slices shifted sideways, {frames[worst].name} by {sideways[worst]:.2f} mm "
            f"(slice {worst + 1} of {len(frames)})",
            remedy="split the series if it holds several stacks, or resample it to one grid",
        )


def _deviations(positions, step, normal):
    """Returns how far (mm) each slice lies from an even grid, along the normal and sideways."""
    off = positions - positions[0] - np.arange(len(positions))[:, None] * step
    along = off @ normal
    return np.abs(along), np.linalg.norm(off - along[:, None] * normal, axis=1)


def _tolerance(distance):
    return min(max(ROUNDING, SHARE * distance), MOST_SHARE * distance)


def _uneven(frames, along, path):
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    worst = int(np.abs(gaps - usual).argmax())
    missing = [index for index, gap in enumerate(gaps) if gap > MISSING * usual]
    where = ""
    if missing:
        start, end = frames[missing[0]].position, frames[missing[0] + 1].position
        place = _shown(start + (end - start) * usual / gaps[missing[0]])
        count = sum(max(1, round(gaps[index] / usual) - 1) for index in missing)
        where = f", as if {count} were missing, the first at {place} mm (ImagePositionPatient)"
    return VolumeError(
        file=path,
        expected=f"slices {usual:.2f} mm apart",
        received=f"a gap of {gaps[worst]:.2f} mm between {frames[worst].name} and {frames[worst + 1].name} "
        f"(slices {worst + 1} and {worst + 2} of {len(frames)}){where}",
        remedy="add the missing slices, or resample the series to even spacing",
    )


def _shown(point):
    return "[" + ", ".join(f"{value:.6g}" for value in point) + "]"


def _angle(step, normal):
    return math.degrees(math.acos(min(1.0, abs(float(step @ normal)) / float(np.linalg.norm(step)))))


def doubts_about(frames: Sequence[Frame], is_all: bool) -> list[str]:
    """Returns what is doubtful about slices that are used, for warnings.

    Args:
        frames: In order.
        is_all: Whether they are all frames of the series; or one volume of several.
    """
    if len(frames) < 2:
        return []
    found = [_jitter(frames), _every_other(frames), _cut_off(frames) if is_all else None]
    return [doubt for doubt in found if doubt]


def _jitter(frames):
    """Reports positions that are uneven by more than the rounding of what the header says."""
    positions = np.array([frame.position for frame in frames])
    step = (positions[-1] - positions[0]) / (len(frames) - 1)
    worst = max(float(part.max()) for part in _deviations(positions, step, frames[0].normal))
    digits = next(
        (digits for digits in range(6) if np.allclose(np.round(positions, digits), positions, rtol=0, atol=1e-9)), 6
    )
    if worst <= max(UNREPORTED, 1.01 * 10.0**-digits):
        return None
    length = np.linalg.norm(step)
    return f"the slices lie up to {worst:.2f} mm from an even grid; it is used, with steps of {length:.4g} mm"


def _every_other(frames):
    """Reports slices that are apart by a multiple of what the header says."""
    first = frames[0]
    step = float(np.linalg.norm(frames[-1].position - first.position)) / (len(frames) - 1)
    numbered = np.unique(np.abs(np.diff(_numbers(frames))))
    for tag in ("SpacingBetweenSlices", "SliceThickness"):
        stated = _advice(first.part(MEASURES), tag, first.file) or 0
        times = round(step / stated) if stated >= SPACINGS[0] else 1
        # Slices with gaps between them are usual; the numbers of the slices must say so too.
        is_sure = tag == "SpacingBetweenSlices" or np.array_equal(numbered, [times])
        if times >= 2 and is_sure and abs(step / stated - times) <= SHARE * times:
            return (
                f"the slices lie {step:.4g} mm apart, {times} times as far as {tag} says ({stated:.4g} mm); "
                f"slices between them may be missing"
            )
    return None


def _cut_off(frames):
    """Reports slices that may be missing at an end. There is no gap, but the numbers or counts in the headers say so.

    Series may be numbered from any number: what lacks more slices than are there was cut on purpose.
    """
    numbers, count = _numbers(frames), _advice(frames[0].header, "ImagesInAcquisition", frames[0].file)
    steps = set(np.diff(numbers).tolist())
    if steps in ({1.0}, {-1.0}) and 1 < min(numbers) <= len(frames):
        least, end = int(min(numbers)), frames[0 if numbers[0] == min(numbers) else -1]
        return (
            f"InstanceNumber begins at {least}, in {end.name}: {counted(least - 1, 'slice')} may be missing there, "
            f"at an end of the scan"
        )
    if count is not None and len(frames) < count < 2 * len(frames):
        return f"ImagesInAcquisition says {count:.0f} slices, there are {len(frames)}: some may be missing at an end"
    return None


def _numbers(frames):
    """Returns the slices' numbers in the series; none unless every slice has a file and a number of its own."""
    if frames[0].number is not None:
        return []
    numbers = [_advice(frame.header, "InstanceNumber", frame.file) for frame in frames]
    return [] if None in numbers else numbers


def _advice(dataset, keyword, file):
    """Returns a number that only advises, so that a damaged one does not matter; or None."""
    try:
        return tag_value(dataset, keyword, float, file, default=None)
    except VolumeError:
        return None
