"""Scans of several channels: modalities such as FLAIR and T1w, in one 4-D file or in a file each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import nibabel as nib
import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.messages import listed
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.names import CHANNEL_FILE, SCAN_SUFFIXES, channel_ending, one_per_scan, stem
from recalib_keras.volumes.opening import open_image
from recalib_keras.volumes.reading import Source, read
from recalib_keras.volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of one scan, on one grid.

    Args:
        names: The name of each channel.
        volumes: The channels, in the same order.

    Raises:
        VolumeError: A channel is on another grid than the first one.

    Example:
        >>> grid = Grid((4, 6, 8), np.eye(4))
        >>> scan = Channels(("T1w", "T2w"), (Volume(np.zeros((4, 6, 8)), grid), Volume(np.ones((4, 6, 8)), grid)))
        >>> scan.array.shape, scan.first.array.shape
        ((4, 6, 8, 2), (4, 6, 8))
    """

    names: tuple[str, ...]
    volumes: tuple[Volume, ...]

    def __post_init__(self):
        for name, volume in zip(self.names[1:], self.volumes[1:], strict=True):
            if not volume.grid.coincides(self.grid):
                raise VolumeError(
                    file=volume.source,
                    expected=f"the channel {name} on the grid of the channel {self.names[0]}, {self.grid}",
                    received=self.grid.difference(volume.grid),
                    remedy="register and resample the channels of a scan to one grid",
                )

    @property
    def first(self) -> Volume:
        """The first channel: where one is shown, and whose grid and header results have."""
        return self.volumes[0]

    @property
    def grid(self) -> Grid:
        """The grid of all channels."""
        return self.first.grid

    @property
    def source(self) -> Path | None:
        """The file of the first channel, or None."""
        return self.first.source

    @property
    def array(self) -> np.ndarray:
        """The values of all channels, `(*grid.shape, channels)`."""
        return np.stack([volume.array for volume in self.volumes], axis=-1)


def read_channels(source: Source | Sequence[Source], names: Sequence[str], keep_integers: bool = False) -> Channels:
    """Reads a scan of several channels.

    Args:
        source: A 4-D file or image whose volumes are the channels in the order of their names; a file of a channel each
            (or image), in that order; or any one of nnU-Net's files of a scan, `x_0000.nii.gz`, beside which the others
            lie.
        names: Names of the channels.
        keep_integers: See `recalib_keras.volumes.read`.

    Raises:
        VolumeError: A channel is missing or is on another grid, there are more channels than names, or a file cannot
            be read; the message names the scan.
    """
    if isinstance(source, (list, tuple)):
        sources, numbers = list(source), [None] * len(source)
    else:
        beside = _files_beside(source, names)
        sources, numbers = (beside, [None] * len(names)) if beside else _volumes_of(source, len(names))
    if len(sources) != len(names):
        found = f"{len(sources)}" if len(sources) > 1 else "a scan of one channel"
        raise VolumeError(
            file=_name(sources[0]),
            expected=f"{len(names)} channels ({listed(names)})",
            received=found,
            remedy="give a 4-D file with all of them, or their files in this order",
        )
    volumes = [read(one, volume=number, keep_integers=keep_integers) for one, number in zip(sources, numbers)]
    return Channels(tuple(names), tuple(volumes))


def number_of_volumes(source: Source) -> int:
    """Returns how many volumes a file or image has, by its header; 1 for a folder of slices and for DICOM.

    Args:
        source: A path or a nibabel image.

    Raises:
        VolumeError: The file cannot be read.
    """
    image: nib.spatialimages.SpatialImage
    if isinstance(source, nib.spatialimages.SpatialImage):
        image = source
    elif str(source).lower().endswith(SCAN_SUFFIXES):
        image, _ = open_image(Path(source))
    else:
        return 1
    return int(np.prod(image.shape[3:], dtype=int))


def one_per_case(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Returns the first channel's file for each scan of which any file is given in nnU-Net's way; others as they are.

    Args:
        paths: Files of scans, such as `x_0000.nii.gz` and `x_0001.nii.gz`, in any order.

    Example:
        >>> [path.name for path in one_per_case(["x_0001.nii", "x_0000.nii", "y.nii"])]
        ['x_0000.nii', 'y.nii']
    """
    return list(dict.fromkeys(channel_file(path, 0) or path for path in one_per_scan(paths)))


def channel_file(path: Path, channel: int) -> Path | None:
    """Returns the file of a channel beside another one's; None if the name is not of nnU-Net's kind.

    Args:
        path: File of any channel of the scan.
        channel: Number of the channel, from 0.
    """
    match = CHANNEL_FILE.fullmatch(stem(path))
    if match is None:
        return None
    return path.with_name(match["scan"] + channel_ending(channel) + path.name[len(stem(path)) :])


def case_name(path: Path) -> str:
    """Returns the name of a scan, given any of its files: without the number of a channel.

    Args:
        path: A file.
    """
    match = CHANNEL_FILE.fullmatch(stem(path))
    return stem(path) if match is None else match["scan"]


def _files_beside(source, names):
    """Returns the files of all channels in nnU-Net's way; none for another kind of source."""
    path = Path(source) if _is_path(source) else None
    files = [] if path is None else [channel_file(path, number) for number in range(len(names))]
    if not files or files[0] is None or (path == files[0] and not files[1].exists() and _is_4d(path)):
        return []
    missing = next(((name, file) for name, file in zip(names, files) if not file.is_file()), None)
    if missing is not None:
        raise VolumeError(
            file=path,
            expected=f"the channel {missing[0]} of {case_name(path)} in {missing[1].name} beside it",
            received="no such file",
            remedy="add it, or leave this scan out",
        )
    return files


def _is_4d(path):
    return path.is_file() and number_of_volumes(path) > 1


def _volumes_of(source, count):
    """Returns the sources and the numbers of the volumes of a file."""
    found = number_of_volumes(source)
    if found > 1 and found != count:
        raise VolumeError(
            file=_name(source),
            expected=f"{count} channels",
            received=f"a 4-D image of {found} volumes",
            remedy="keep the volumes of the channels alone, in their order",
        )
    return ([source] * count, list(range(count))) if found > 1 else ([source], [None])


def _is_path(source: Source) -> TypeGuard[str | os.PathLike]:
    return not isinstance(source, nib.spatialimages.SpatialImage)


def _name(source):
    return source if _is_path(source) else source.get_filename() or "the image in memory"
