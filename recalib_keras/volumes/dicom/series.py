"""The frames of one series: those that do not belong to it are named, and those exported twice are dropped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.messages import listed
from recalib_keras.volumes.dicom.files import read_whole
from recalib_keras.volumes.dicom.frames import Frame
from recalib_keras.volumes.dicom.tags import tag_bytes, tag_value

# Slices share a direction (cosines) and a spacing (mm) if no number differs by more than this.
TOLERANCE = 1e-3
MOST_NAMED = 5
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def check_one_series(frames: Sequence[Frame], path: Path) -> None:
    """Checks that all frames belong to one series.

    Args:
        frames: All frames of the folder.
        path: The folder, for messages.

    Raises:
        VolumeError: There are several series. Names the files of all but the largest.
    """
    files = defaultdict(list)
    for frame in {frame.file: frame for frame in frames}.values():
        files[tag_value(frame.header, "SeriesInstanceUID", str, frame.file, default="no UID")].append(frame.file.name)
    if len(files) > 1:
        largest, *others = sorted(files.items(), key=lambda item: -len(item[1]))
        found = [f"{largest[0]} ({len(largest[1])} files)"]
        found += [f"{uid} ({len(names)} files: {listed(names, MOST_NAMED)})" for uid, names in others]
        raise VolumeError(
            file=path,
            expected="one DICOM series",
            received=f"{len(files)} series: {listed(found, MOST_NAMED)}",
            remedy="move the files that do not belong out of the folder, or put each series into a folder of its own",
        )


def check_alike(frames: Sequence[Frame], path: Path) -> None:
    """Checks that all frames have the shape, direction, spacing and kind of grey scale of most of them.

    Args:
        frames: Those of one series, or of one stack.
        path: The folder or file, for messages.

    Raises:
        VolumeError: Some differ. Names them.
    """
    values: dict[str, list] = {
        "shape": [frame.shape for frame in frames],
        "ImageOrientationPatient": [frame.orientation for frame in frames],
        "PixelSpacing": [frame.spacing for frame in frames],
        "PhotometricInterpretation (whether low values are bright)": [(frame.is_inverted,) for frame in frames],
    }
    for what, found in values.items():
        _check_equal(what, np.array(found, dtype=np.float64), frames, path)


def _check_equal(what, values, frames, path):
    # Rounded only to count them: equal values that rounding parts are compared below.
    counts = Counter(tuple(value) for value in np.round(values, 3).tolist())
    usual = np.array(counts.most_common(1)[0][0])
    usual = values[np.abs(values - usual).max(axis=1).argmin()]
    odd = np.flatnonzero(np.abs(values - usual).max(axis=1) > TOLERANCE)
    if odd.size:
        names = listed([frames[index].name for index in odd], MOST_NAMED)
        raise VolumeError(
            file=path,
            expected=f"slices of one {what}, {_shown(usual)} as in {len(frames) - odd.size} of {len(frames)}",
            received=f"{_shown(values[odd[0]])} in {names}",
            remedy="move the slices that do not belong (a scout view, for instance) out of the folder",
        )


def _shown(values):
    return str([int(value) if value.is_integer() else round(float(value), 4) for value in values])


def without_copies(frames: Sequence[Frame]) -> list[Frame]:
    """Returns the frames without those that were exported twice: same SOPInstanceUID, same place, same pixels.

    Frames of one SOPInstanceUID that differ are kept: some programs give it to every file that they make anonymous.

    Args:
        frames: All frames of the folder.
    """
    kept: list[Frame] = []
    by_uid: dict[Any, list[Frame]] = defaultdict(list)
    copies: dict[tuple[Path, Path], bool] = {}
    for frame in frames:
        uid = _instance(frame)
        twins = [other for other in by_uid[uid] if _has_same_place(frame, other)] if uid else []
        if any(_is_copy(frame, twin, copies) for twin in twins):
            continue
        by_uid[uid].append(frame)
        kept.append(frame)
    return kept


def _instance(frame):
    """Returns what identifies a frame; None if the file does not say."""
    uid = tag_value(frame.header, "SOPInstanceUID", str, frame.file, default=None)
    uid = uid or tag_value(frame.header.file_meta, "MediaStorageSOPInstanceUID", str, frame.file, default=None)
    return (uid, frame.number) if uid else None


def _has_same_place(one, other):
    return one.file != other.file and one.shape == other.shape and np.array_equal(one.position, other.position)


def _is_copy(frame, twin, known):
    """Returns whether two files hold the same pixels; `known` keeps the answer for their further frames."""
    files = frame.file, twin.file
    if files not in known:
        one, other = (read_whole(file) for file in files)
        one_bytes, other_bytes = (
            [tag_bytes(dataset, tag, file) for tag in PIXELS] for dataset, file in zip((one, other), files, strict=True)
        )
        is_same = one_bytes == other_bytes and any(one_bytes)
        known[files] = is_same or (_syntax(one, files[0]) != _syntax(other, files[1]) and _same_values(one, other))
    return known[files]


def _syntax(dataset, path):
    return tag_value(dataset.file_meta, "TransferSyntaxUID", str, path, default=None)


def _same_values(one, other):
    try:
        return bool(np.array_equal(one.pixel_array, other.pixel_array))
    except Exception:  # what cannot be decoded is reported when it is read
        return False
