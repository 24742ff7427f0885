"""What the page of a scan tells, taken from a segmentation and its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from recalib_keras.evaluation import StructureVolume
from recalib_keras.evaluation.figures.structure_colors import as_shown
from recalib_keras.evaluation.structures import side, without_side
from recalib_keras.inference import Segmentation
from recalib_keras.inference.quality_control import ENTROPY_MARGIN, VOLUME_MARGIN
from recalib_keras.zoo import Label, ReferenceRange
from recalib_keras.zoo.own_asymmetry import Spread

# An asymmetry is more than the network's own from this many standard deviations between versions of the template.
BEYOND = 2


@dataclass(frozen=True)
class StructureRow:
    """A structure, or a pair of them.

    Args:
        name: Without its side, if it is one of a pair.
        places: The place of the structure among all, from 1; of a pair those of left and right.
        color: Red, green and blue.
        millilitres: Volume; of a pair those of left and right.
        entropies: Mean entropy, from 0 to 1, or None where it is unknown; of a pair those of left and right.
        asymmetry: Asymmetry (%) of a pair, or None.
        own: Asymmetry that the network itself adds, or None.
        usual: Smallest and largest volume (mL) in validation, or None; of a pair those of left and right.
    """

    name: str
    places: tuple[int, ...]
    color: tuple[int, int, int]
    millilitres: tuple[float, ...]
    entropies: tuple[float | None, ...]
    asymmetry: float | None = None
    own: Spread | None = None
    usual: tuple[tuple[float, float] | None, ...] = ()

    @property
    def is_beyond_own(self) -> bool | None:
        """Whether the asymmetry is more than what the network itself adds; None if that is unknown."""
        if self.asymmetry is None or self.own is None:
            return None
        return abs(self.asymmetry - self.own.mean) > BEYOND * self.own.sd


@dataclass(frozen=True)
class ScanContent:
    """What the page of a scan tells.

    Args:
        name: The scan, as its file is called.
        manifest: What made the labels; empty keys are unknown.
        rows: The structures.
        total_ml: Volume of all structures together.
        entropy: Mean entropy of all structures, or None.
        warnings: What is unusual, in sentences.
        reference_range: What segmentations of validation scans are like, or None.
        is_whole: Whether these are all structures that the range of their sum is of.
    """

    name: str
    manifest: Mapping[str, Any]
    rows: Sequence[StructureRow]
    total_ml: float
    entropy: float | None
    warnings: Sequence[str]
    reference_range: ReferenceRange | None = None
    is_whole: bool = True

    @property
    def is_volume_usual(self) -> bool:
        """Whether quality control accepts the volume."""
        if self.reference_range is None or not self.is_whole:
            return True
        least, most = self.reference_range.volume_ml
        return least / VOLUME_MARGIN <= self.total_ml <= most * VOLUME_MARGIN

    @property
    def is_entropy_usual(self) -> bool:
        """Whether quality control accepts the entropy."""
        if self.reference_range is None or self.entropy is None or not self.is_whole:
            return True
        return self.entropy <= ENTROPY_MARGIN * self.reference_range.entropy


def content_of(name: str, segmentation: Segmentation, manifest: Mapping[str, Any]) -> ScanContent:
    """Returns what the page of a scan tells.

    Args:
        name: What the scan is called.
        segmentation: Its labels.
        manifest: From `manifest_of`. What it says about labels that have changed since is left out.
    """
    known = {one["label"]: one for one in manifest.get("structures", ())}
    counts = {volume.label: volume.voxels for volume in segmentation.volumes}
    is_same = {label: one["voxels"] for label, one in known.items()} == counts
    measured = segmentation.uncertainty
    if measured is not None:
        entropies, entropy = measured.by_structure, measured.foreground
    else:
        entropies = {label: one["mean_entropy"] for label, one in known.items()} if is_same else {}
        entropy = manifest.get("mean_entropy") if is_same else None
    reference = segmentation.reference_range
    usual = {} if reference is None else reference.structures_ml
    return ScanContent(
        name,
        manifest,
        structure_rows(segmentation.structures, segmentation.volumes, entropies, usual),
        segmentation.statistics.volume_ml,
        entropy,
        manifest["warnings"] if is_same and measured is None else list(segmentation.warnings),
        reference,
        reference is None or reference.is_of(segmentation.statistics.found),
    )


def structure_rows(
    structures: Sequence[Label],
    volumes: Sequence[StructureVolume],
    entropies: Mapping[int, float | None],
    usual: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> list[StructureRow]:
    """Returns a row for each pair of structures, and for each without a partner.

    Args:
        structures: The structures.
        volumes: The volume of each.
        entropies: Mean entropies by label number, as far as they are known.
        usual: Smallest and largest volume (mL) in validation by name, as far as they are known.
    """
    place_of = {structure.id: place for place, structure in enumerate(structures)}
    colors = [shown.color for shown in as_shown(structures)]
    rows, done = [], set()
    for structure in structures:
        if structure.id in done:
            continue
        pair = _pair(structure, structures, place_of)
        done |= {each.id for each in pair}
        places = [place_of[each.id] for each in pair]
        volume = volumes[places[0]]
        rows.append(
            StructureRow(
                without_side(structure.name) if len(pair) == 2 else structure.name,
                tuple(place + 1 for place in places),
                colors[places[0]],
                tuple(volumes[place].cubic_millimetres / 1000 for place in places),
                tuple(entropies.get(each.id) for each in pair),
                volume.asymmetry_percent,
                None if volume.own_asymmetry is None else Spread(*volume.own_asymmetry),
                tuple(usual.get(each.name) for each in pair),
            )
        )
    return rows


def _pair(structure, structures, place_of):
    """Returns the left and the right structure of a pair; a structure without a partner alone."""
    other = place_of.get(structure.mirror)
    if other is None or structures[other].id == structure.id:
        return [structure]
    pair = {side(each.name): each for each in (structure, structures[other])}
    return [pair["left"], pair["right"]] if pair.keys() == {"left", "right"} else [structure]
