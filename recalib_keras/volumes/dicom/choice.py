"""The volumes of a series: echoes, b-values, time points … at the same positions are volumes of their own."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.messages import listed
from recalib_keras.volumes.dicom.frames import CONTENT, Frame
from recalib_keras.volumes.dicom.series import check_alike
from recalib_keras.volumes.dicom.tags import tag_items, tag_value
from recalib_keras.volumes.opening import HOW_TO_CHOOSE, check_volume_index

# Slices closer than this along their normal (mm) lie at one position.
SAME_POSITION = 0.02
# What can distinguish the volumes of classic files, the surest first.
CLASSIC = {
    "TemporalPositionIdentifier": float,
    "TemporalPositionIndex": float,
    "EchoTime": float,
    "EchoNumbers": float,
    "DiffusionBValue": float,
    "DiffusionGradientOrientation": float,
    "InversionTime": float,
    "FlipAngle": float,
    "TriggerTime": float,
    "NominalPercentageOfCardiacPhase": float,
    "FrameReferenceTime": float,
    "AcquisitionNumber": float,
    "ImageType": str,
    "ComplexImageComponent": str,
    "AcquisitionTime": str,
    "AcquisitionDateTime": str,
    "ContentTime": str,
}
# The same for enhanced files: the functional groups on the way to a tag, and the tag.
ENHANCED = {
    (CONTENT, "TemporalPositionIndex"): float,
    ("MREchoSequence", "EffectiveEchoTime"): float,
    ("MRDiffusionSequence", "DiffusionBValue"): float,
    ("MRDiffusionSequence", "DiffusionGradientDirectionSequence", "DiffusionGradientOrientation"): float,
    ("MRModifierSequence", "InversionTimes"): float,
    ("MRTimingAndRelatedParametersSequence", "FlipAngle"): float,
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"): float,
    ("MRImageFrameTypeSequence", "FrameType"): str,
    ("MRImageFrameTypeSequence", "ComplexImageComponent"): str,
    ("CTImageFrameTypeSequence", "FrameType"): str,
    ("PETFrameTypeSequence", "FrameType"): str,
    (CONTENT, "FrameAcquisitionNumber"): float,
    (CONTENT, "FrameReferenceDateTime"): str,
    (CONTENT, "FrameAcquisitionDateTime"): str,
}
MOST_NAMED = 5
# This many tags together may distinguish volumes: echo, b-value and direction.
MOST_TAGS = 3


def choose_volume(frames: Sequence[Frame], volume: int | None, path: Path) -> tuple[list[Frame], int]:
    """Returns the frames of one volume of a series, and how many volumes it has.

    The volumes are sorted by what distinguishes them (see `CLASSIC` and `ENHANCED`): by echo time, for instance.

    Args:
        frames: Those of one series.
        volume: Which volume, counted from 0; None if there is only one.
        path: The folder or file, for messages.

    Raises:
        VolumeError: There are several volumes and none is chosen, or no such volume; several slices lie at one
            position, and no tag distinguishes them; the chosen volume lacks slices.
    """
    volumes, names = [], []
    for stack in _stacks(frames):
        check_alike(stack, path)
        found, tags = _split(stack, path)
        most = max(len(one) for one in found)
        volumes += [(one, most) for one in found]
        names += [tag for tag in tags if tag not in names]
    if len(volumes) > 1 and volume is None:
        by = f" (by {' and '.join(names)})" if names else " (by StackID)"
        raise VolumeError(
            file=path,
            expected="one 3-D volume",
            received=f"a 4-D series of {len(volumes)} volumes{by}",
            remedy=f"choose one from 0 to {len(volumes) - 1}: {HOW_TO_CHOOSE}",
        )
    check_volume_index(volume, len(volumes), str(path))
    chosen, most = volumes[volume or 0]
    if len(chosen) < most:
        raise VolumeError(
            file=path,
            expected=f"{most} slices in each volume",
            received=f"{len(chosen)} in volume {volume}",
            remedy="add the missing slices, or choose another volume",
        )
    return chosen, len(volumes)


def _stacks(frames):
    """Returns the frames of each stack of an enhanced file. Stacks may differ in direction and in number of frames."""
    stacks = defaultdict(list)
    for frame in frames:
        stack = tag_value(frame.part(CONTENT), "StackID", str, frame.file, default="") if frame.groups else ""
        stacks[stack].append(frame)
    if max(len(stack) for stack in stacks.values()) == 1:
        return [frames]
    return [stacks[name] for name in sorted(stacks, key=lambda name: (len(name), name))]


def _split(frames, path):
    """Returns the volumes of frames of one direction, and the tags that distinguish them."""
    places = _places(frames)
    there = len(set(places))
    if len(frames) > 1 and there == 1:
        raise VolumeError(
            file=path,
            expected="slices at different positions along their normal",
            received=f"all {len(frames)} slices at one position, such as {frames[0].name} and {frames[1].name}",
            remedy="give the whole series; if this is it, its ImagePositionPatient is wrong: export it again",
        )
    most = Counter(places).most_common(1)[0][1]
    if most == 1:
        return [frames], ()
    values = _varying(frames, most)
    for size in range(1, MOST_TAGS + 1):
        for tags in itertools.combinations(values, size):
            volumes = _volumes(zip(*(values[tag] for tag in tags), strict=True), frames, places, there)
            if volumes:
                return volumes, [tag if isinstance(tag, str) else tag[-1] for tag in tags]
    raise _duplicates(frames, places, path)


def _places(frames):
    """Returns for each frame the number of its position along the normal."""
    along = np.array([frame.position @ frames[0].normal for frame in frames])
    order = np.argsort(along, kind="stable")
    places = np.empty(len(frames), int)
    places[order] = np.concatenate([[0], np.cumsum(np.diff(along[order]) > SAME_POSITION)])
    return places.tolist()


def _varying(frames, most):
    """Returns by tag its values in the frames, for tags that have several values but no more than there are volumes."""
    sources = ENHANCED if frames[0].groups else CLASSIC
    found: dict[Any, list] = {tag: [_value(frame, tag) for frame in frames] for tag in sources}
    if frames[0].groups:
        found |= _dimensions(frames)
    return {tag: values for tag, values in found.items() if 1 < len(set(values)) <= most}


def _value(frame, tag):
    """Returns the values of a tag as a tuple, which is empty if the frame lacks it."""
    if isinstance(tag, str):
        return tag_value(frame.header, tag, CLASSIC[tag], frame.file, count=None, default=())
    *groups, keyword = tag
    part = frame.part(groups[0])
    for group in groups[1:]:
        items = tag_items(part, group, frame.file)
        part = items[0] if len(items) else None
        if part is None:
            return ()
    return tag_value(part, keyword, ENHANCED[tag], frame.file, count=None, default=())


def _dimensions(frames):
    """Returns the values of each dimension that an enhanced file declares; it may stand for any property."""
    indices = [
        tag_value(frame.part(CONTENT), "DimensionIndexValues", int, frame.file, count=None, default=())
        for frame in frames
    ]
    count = min(len(index) for index in indices)
    return {f"dimension {axis + 1}": [(index[axis],) for index in indices] for axis in range(count)}


def _volumes(values, frames, places, there) -> list[list[Frame]] | None:
    """Returns the frames of each value, or None if they are not volumes.

    No value may have two frames at one position, and at least half of the values need a frame at every position.
    """
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        groups[value].append(index)
    counts = [len({places[index] for index in group}) for group in groups.values()]
    is_single = all(count == len(group) for count, group in zip(counts, groups.values(), strict=True))
    if not is_single or 2 * sum(count == there for count in counts) < len(groups):
        return None
    return [[frames[index] for index in groups[value]] for value in sorted(groups)]


def _duplicates(frames, places, path):
    at = defaultdict(list)
    for frame, place in zip(frames, places, strict=True):
        at[place].append(frame.name)
    double = [names for names in at.values() if len(names) > 1]
    return VolumeError(
        file=path,
        expected="one slice at each position",
        received=f"{len(double)} duplicated positions, the first in {listed(double[0], MOST_NAMED)}",
        remedy="split the series (by echo, phase or time point) into a folder each",
    )
