"""Detect from a segmentation that the scan is unlike those the network was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recalib_keras.core.messages import counted, listed
from recalib_keras.evaluation.volumetry import StructureVolume, share_at_edge, structure_volumes, total_volume
from recalib_keras.inference.uncertainty import Uncertainty
from recalib_keras.volumes import Grid
from recalib_keras.zoo import Label, ReferenceRange

# How far a scan may exceed all validation scans. By chance alone, one more scan of their kind exceeds the most
# uncertain of n with a probability of 1 / (n + 1), though not by much.
ENTROPY_MARGIN = 1.3
# Structures of adults differ by half from the mean, and shrink and grow with age and disease.
VOLUME_MARGIN = 1.5
# Share of the structures' surface; structures that are not cut off touch the edge with single voxels at most.
EDGE_MARGIN = 0.02
# A message names at most this many missing structures.
MOST_NAMES = 3


class UnfamiliarScanWarning(UserWarning):
    """A scan looks unlike those that the network was trained on, so that its labels may be wrong."""


@dataclass(frozen=True)
class SegmentationStatistics:
    """What a segmentation is like, in the numbers that quality control compares.

    Args:
        volumes: The volume of each structure.
        at_edge: Share of the structures' surface that lies on the edge of the scan, from 0 to 1.
        entropy: Mean normalised entropy of the structures' voxels, from 0 to 1; None if unknown or without voxels.
    """

    volumes: tuple[StructureVolume, ...]
    at_edge: float
    entropy: float | None = None

    @property
    def volume_ml(self) -> float:
        """The volume of all structures together, in ml."""
        return total_volume(self.volumes) / 1000

    @property
    def found(self) -> dict[str, bool]:
        """Whether each structure has any voxel, by its name."""
        return {structure.name: structure.voxels > 0 for structure in self.volumes}


def segmentation_statistics(
    labels: np.ndarray, grid: Grid, structures: Sequence[Label], uncertainty: Uncertainty | None = None
) -> SegmentationStatistics:
    """Returns the statistics of a segmentation.

    Args:
        labels: Integer array of label numbers.
        grid: Grid of the array.
        structures: The labels without the background.
        uncertainty: Uncertainty of the segmentation, or None if it was not measured.
    """
    volumes = tuple(structure_volumes(labels, grid, structures))
    entropy = None if uncertainty is None else uncertainty.foreground
    return SegmentationStatistics(volumes, share_at_edge(labels, grid, structures), entropy)


def reference_range_of(statistics: Sequence[SegmentationStatistics]) -> ReferenceRange | None:
    """Returns what the segmentations of validation scans are like.

    Args:
        statistics: Those of each scan.

    Returns:
        The range; None if nothing was found in any scan, or no uncertainty was measured.
    """
    entropies = [scan.entropy for scan in statistics if scan.entropy is not None]
    if not entropies:
        return None
    by_structure: dict[str, list[float]] = {}
    for volume in (each for scan in statistics for each in scan.volumes):
        by_structure.setdefault(volume.name, []).append(volume.cubic_millimetres / 1000)
    return ReferenceRange(
        entropy=round(max(entropies), 4),
        volume_ml=_ends([scan.volume_ml for scan in statistics]),
        at_edge=round(max(scan.at_edge for scan in statistics), 4),
        found={
            name: round(sum(scan.found[name] for scan in statistics) / len(statistics), 4)
            for name in statistics[0].found
        },
        structures_ml={name: _ends(volumes) for name, volumes in by_structure.items()},
        scans=len(statistics),
    )


def quality_warnings(statistics: SegmentationStatistics, reference: ReferenceRange | None) -> tuple[str, ...]:
    """Returns what is unusual about a segmentation, in sentences; none if it looks right.

    Args:
        statistics: Those of the segmentation.
        reference: What segmentations of validation scans are like. If it is None, or of more structures than these,
            the only check is whether anything was found.
    """
    if not any(statistics.found.values()):
        is_usual = reference is not None and reference.volume_ml[0] == 0
        return () if is_usual else (f"nothing found: 0 of {counted(len(statistics.found), 'structure')}",)
    if reference is None or not reference.is_of(statistics.found):
        return ()
    checks = (_entropy, _volume, _missing, _edge)
    return tuple(sentence for check in checks if (sentence := check(statistics, reference)))


def _entropy(scan, reference):
    # Not `>`, so that an entropy of NaN, from broken probabilities, does not pass.
    if scan.entropy is None or scan.entropy <= ENTROPY_MARGIN * reference.entropy:
        return None
    return (
        "the scan looks unlike those the network was trained on: "
        f"mean entropy {scan.entropy:.2g}, at most {reference.entropy:.2g} in validation"
    )


def _volume(scan, reference):
    least, most = reference.volume_ml
    if least / VOLUME_MARGIN <= scan.volume_ml <= most * VOLUME_MARGIN:
        return None
    return f"the structures have {_ml(scan.volume_ml)} together, {_ml(least)} to {_ml(most)} in validation"


def _missing(scan, reference):
    missing = [name for name, found in scan.found.items() if not found and reference.found.get(name) == 1]
    if not missing:
        return None
    return (
        f"{sum(scan.found.values())} of {counted(len(scan.found), 'structure')} found; in validation every scan showed "
        f"those missing here: {listed(missing, MOST_NAMES)}"
    )


def _edge(scan, reference):
    if scan.at_edge <= reference.at_edge + EDGE_MARGIN:
        return None
    return (
        f"the scan ends inside the structures: {scan.at_edge:.0%} of their surface lies on its edge, at most "
        f"{reference.at_edge:.0%} in validation"
    )


def _ends(volumes):
    return round(min(volumes), 3), round(max(volumes), 3)


def _ml(volume):
    return f"{volume:.0f} ml" if volume >= 100 else f"{volume:.3g} ml"
