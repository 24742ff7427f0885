"""The channels of a set's scans: modalities in the volumes of 4-D files, or in a file each as nnU-Net has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from recalib_keras.core.messages import did_you_mean, listed
from recalib_keras.datasets.problems import DatasetError, Problem
from recalib_keras.datasets.scan import Channel, LabelledScan
from recalib_keras.volumes import VolumeError
from recalib_keras.volumes.channels import number_of_volumes
from recalib_keras.volumes.names import CHANNEL_FILE, stem
from recalib_keras.volumes.opening import HOW_TO_CHOOSE


class CaseFiles(NamedTuple):
    """The files of scans that are named as nnU-Net does: the scan, `_`, and four digits for the channel.

    Args:
        cases: For each scan the file of each channel, by the number of the channel.
        names: For each file, without its ending, the name of its scan.
    """

    cases: dict[str, dict[int, Path]]
    names: dict[str, str]

    @classmethod
    def among(cls, images: Sequence[Path], label_names: set[str]) -> CaseFiles:
        """Returns those of a folder: images without a label map of their own name, beside that of their scan.

        Args:
            images: The images of the folder.
            label_names: The names of the label maps.
        """
        own = {stem(path) for path in images}
        found = {path: CHANNEL_FILE.fullmatch(stem(path)) for path in images if stem(path) not in label_names}
        matched = {path: match for path, match in found.items() if match and match["scan"] not in own}
        if not label_names.intersection(match["scan"] for match in matched.values()):
            return cls({}, {})
        cases: dict[str, dict[int, Path]] = {}
        for path, match in matched.items():
            cases.setdefault(match["scan"], {})[int(match["channel"])] = path
        return cls(cases, {stem(path): match["scan"] for path, match in matched.items()})

    @property
    def numbers(self) -> list[int]:
        """The numbers of all channels of the set."""
        return sorted({number for files in self.cases.values() for number in files})


def with_channel_files(
    scans: Sequence[LabelledScan], files: CaseFiles, names: Mapping[int, str], volume: int | None
) -> tuple[list[LabelledScan], list[Problem]]:
    """Returns scans with the files of all their channels, and a problem for each channel that a scan lacks.

    Args:
        scans: One for each scan; their files are those of any channel.
        files: The files of the set.
        names: Names of channels by their numbers.
        volume: Number of the one channel to take, or None for all.
    """
    numbers = files.numbers if volume is None else [volume]
    found, problems = [], []
    for scan in scans:
        own = files.cases.get(scan.name, {})
        missing = [number for number in numbers if number not in own]
        problems += [
            Problem(
                scan.image.parent,
                f"the channel _{number:04}{_called(names, number)} of {scan.name}",
                "no such file",
                "add it, or take the scan and its label map out",
            )
            for number in missing
        ]
        if not missing:
            channels = tuple(Channel(names.get(number, str(number)), own[number]) for number in numbers)
            found.append(replace(scan, image=channels[0].file, channels=channels if len(channels) > 1 else ()))
    return found, problems


def with_volumes(scans: Sequence[LabelledScan], names: Mapping[int, str]) -> list[LabelledScan]:
    """Returns scans whose channels are the volumes of their 4-D images.

    Args:
        scans: The scans.
        names: Name of each volume, by its number; one name for images of one channel.
    """
    if len(names) < 2:
        return list(scans)
    return [
        replace(scan, channels=tuple(Channel(name, scan.image, number) for number, name in sorted(names.items())))
        for scan in scans
    ]


def with_numbered_channels(scan: LabelledScan) -> LabelledScan:
    """Returns a scan with the volumes of its 4-D file as channels, by their numbers, if nothing names or chooses them.

    Args:
        scan: The scan.
    """
    if scan.channels or scan.volume is not None:
        return scan
    try:
        count = number_of_volumes(scan.image)
    except VolumeError:  # the error is reported when the scan is read
        return scan
    (found,) = with_volumes([scan], {number: str(number) for number in range(count)})
    return found


def choose_channels(scans: Sequence[LabelledScan], names: Sequence[str] | None, folder: Path) -> list[LabelledScan]:
    """Returns scans with the channels that a network sees.

    Args:
        scans: The scans.
        names: Names of the channels, or None for a network of one channel. If the set has no names for its channels,
            they are taken in their order.
        folder: Folder of the set, for messages.

    Raises:
        DatasetError: The scans have several channels and none is chosen, or they lack one.
    """
    return [_chosen(scan, names, folder) for scan in scans]


def several_channels(scan: LabelledScan, folder: Path) -> DatasetError:
    """Returns the error of a scan of several channels where one is expected.

    Args:
        scan: The scan.
        folder: Folder of the set.
    """
    listing = ", ".join(f"{index} = {channel.name}" for index, channel in enumerate(scan.channels))
    names = ", ".join(f'"{channel.name}"' for channel in scan.channels)
    remedy = f"take them all: channels = [{names}] under [input] of a recipe; or choose one: {HOW_TO_CHOOSE}"
    return DatasetError([Problem(folder, "images of one channel", f"{len(scan.channels)} in each ({listing})", remedy)])


def _chosen(scan, names, folder):
    if names is None:
        if scan.channels:
            raise several_channels(scan, folder)
        return scan
    if len(names) > 1 and not scan.channels:
        return replace(scan, channels=tuple(Channel(name, scan.image, place) for place, name in enumerate(names)))
    known = {channel.name: channel for channel in scan.channels}
    if not scan.channels:
        return scan
    if all(name.isdecimal() for name in known) and len(names) == len(known):
        channels = tuple(channel._replace(name=name) for name, channel in zip(names, scan.channels))
    else:
        missing = [name for name in names if name not in known]
        if missing:
            hint = did_you_mean(missing[0], known) or None
            raise DatasetError([Problem(folder, f"channels out of {listed(known)}", repr(missing[0]), hint)])
        channels = tuple(known[name] for name in names)
    if len(channels) == 1:
        return replace(scan, image=channels[0].file, volume=channels[0].volume, channels=())
    return replace(scan, channels=channels)


def _called(names, number):
    return f" ({names[number]})" if number in names else ""
