"""Which maps of a scan are wanted, and what the sliding window must do for them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from recalib_keras.core.messages import did_you_mean
from recalib_keras.core.scratch import scratch_array
from recalib_keras.inference.ensemble import NetworkEnsemble
from recalib_keras.inference.maps.scan_map import (
    DTYPES,
    ENTROPY,
    MUTUAL_INFORMATION,
    PROBABILITIES,
    ScanMap,
    slope_of,
    stored,
)
from recalib_keras.inference.sliding_window.predict import SlidingWindow
from recalib_keras.inference.sliding_window.voxel_maps import VoxelMap
from recalib_keras.inference.structure_choice import choose_structures
from recalib_keras.inference.uncertainty import Measures
from recalib_keras.volumes import Grid, Volume

# Entropy and mutual information are stored like this: fine, and it compresses well.
UNCERTAINTY_DTYPE = np.dtype("uint16")


@dataclass(frozen=True)
class MapRequest:
    """The maps that are wanted of a scan.

    Args:
        probabilities: How probabilities are stored: `"uint8"` (in steps of 1/255), `"uint16"` (1/65535) or
            `"float32"`; None for no such map.
        uncertainty: Whether entropy is wanted, and mutual information where several predictions are averaged: those
            of an ensemble's members, or of the image and its mirror image.
        structures: Names, numbers or patterns of the structures whose probabilities are wanted, see
            `choose_structures`; None for all, and the background.

    Raises:
        ValueError: For an unknown way of storing.
    """

    probabilities: str | None = None
    uncertainty: bool = False
    structures: Sequence[str | int] | None = None

    def __post_init__(self):
        if self.probabilities is not None and self.probabilities not in DTYPES:
            hint = "NIfTI has no float16; uint16 takes as much room" if self.probabilities == "float16" else None
            hint = hint or did_you_mean(self.probabilities, DTYPES, otherwise="uint8 is the smallest")
            raise ValueError(f"expected probabilities as {', '.join(DTYPES)}, got {self.probabilities!r}; {hint}")

    def names(self, predictions: int) -> tuple[str, ...]:
        """Returns the names of the maps that are wanted.

        Args:
            predictions: How many predictions are averaged.
        """
        wanted = {
            PROBABILITIES: self.probabilities is not None,
            ENTROPY: self.uncertainty,
            MUTUAL_INFORMATION: self.uncertainty and predictions > 1,
        }
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)


class MapMaker:
    """Makes the maps of one scan while a sliding window makes its labels.

    Args:
        request: Which maps.
        networks: The networks that predict.
        grid: The scan's grid in the orientation that the networks see.
        folder: Where large maps lie until they are written; None for the folder of temporary files.

    Raises:
        RecordError: A structure is unknown.
        WriteError: There is no room.
    """

    def __init__(
        self, request: MapRequest, networks: NetworkEnsemble, grid: Grid, folder: str | os.PathLike | None = None
    ):
        self._grid, self._folder, self._networks = grid, folder, networks
        self._measures = Measures(networks.has_sigmoid)
        self._count = len(networks.labels)
        names = request.names(networks.predictions)
        self.classes = self._chosen(request.structures) if PROBABILITIES in names else []
        self.with_entropy = MUTUAL_INFORMATION in names
        self._maps: dict[str, VoxelMap] = {}
        for name in names:
            self._maps[name] = self._probabilities(request.probabilities) if name == PROBABILITIES else self._one(name)

    def joined(self, sliding_window: SlidingWindow) -> SlidingWindow:
        """Returns a sliding window that makes the maps, too; its views must give the entropy that this one wants.

        Args:
            sliding_window: One that makes labels.
        """
        complete = self._measures.to_mutual_information if self.with_entropy else None
        return dataclasses.replace(sliding_window, maps=tuple(self._maps.values()), complete=complete)

    def finished(self, like: Volume) -> dict[str, ScanMap]:
        """Returns the maps on the scan's own grid, by their names.

        Args:
            like: The scan, or its label map.
        """
        turn = nib.orientations.ornt_transform(
            nib.io_orientation(self._grid.affine), nib.io_orientation(like.grid.affine)
        )
        labels = self._networks.labels
        structures = tuple((labels[index].name, labels[index].id) for index in self.classes)
        return {
            name: ScanMap(
                name,
                nib.orientations.apply_orientation(one.array, turn),
                like,
                structures if name == PROBABILITIES else (),
            )
            for name, one in self._maps.items()
        }

    def _chosen(self, wanted):
        """Returns the classes of the structures: with a softmax those of all, the background among them."""
        labels = self._networks.labels
        if wanted is None:  # with a sigmoid the background has no probability, only a threshold
            return list(range(int(self._networks.has_sigmoid), len(labels)))
        numbers = {label.id for label in choose_structures(labels, wanted)}
        return [index for index, label in enumerate(labels) if label.id in numbers]

    def _probabilities(self, dtype):
        rows, columns, slices = self._grid.shape
        # Row by row, and in a row structure by structure: as it is written, and nearly as it is read.
        array = scratch_array((rows, len(self.classes), columns, slices), np.dtype(dtype), self._folder)
        array = np.moveaxis(array, 1, -1)
        if 0 in self.classes:  # what is not predicted, such as air, is background
            array[..., self.classes.index(0)] = round(1 / slope_of(array.dtype))

        def probabilities(sums):
            sums = sums[..., : self._count]
            return stored(sums[..., self.classes] / self._measures.total(sums)[..., None], array.dtype)

        return VoxelMap(array, probabilities)

    def _one(self, name):
        array = scratch_array(self._grid.shape, UNCERTAINTY_DTYPE, self._folder)
        measure: Callable[[np.ndarray], np.ndarray] = (
            self._measures.mutual_information
            if name == MUTUAL_INFORMATION
            else lambda sums: self._measures.entropy(sums[..., : self._count])
        )
        return VoxelMap(array, lambda sums: stored(measure(sums), array.dtype))
