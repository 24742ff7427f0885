"""What a batch makes of each scan beside its label map: maps and a DICOM Segmentation object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.files import write_json
from recalib_keras.inference.batch.manifest import manifest_path
from recalib_keras.inference.dicom_seg import import_highdicom
from recalib_keras.inference.largest_component import LargestComponent, numbers_to_clean
from recalib_keras.inference.maps import ENTROPY, MUTUAL_INFORMATION, PROBABILITIES, MapRequest, ScanMap
from recalib_keras.inference.structure_choice import choose_structures
from recalib_keras.volumes.dicom.files import is_dicom_file
from recalib_keras.volumes.names import LABELS_ENDING, stem
from recalib_keras.zoo import Label

DICOM_SEG = "dicom_seg"
# In BIDS a label map's name ends in `_dseg`, and a map's in one of these. BIDS defines `probseg`, but no suffix for the
# others.
LABELS_IN_BIDS = "_dseg"
MAPS_IN_BIDS = {PROBABILITIES: "probseg", ENTROPY: "entropy", MUTUAL_INFORMATION: "mutualinformation"}


@dataclass(frozen=True)
class Outputs(MapRequest):
    """What is made of each scan beside its label map.

    Args:
        probabilities: See `MapRequest`.
        uncertainty: See `MapRequest`.
        structures: Names, numbers or patterns of structures; None for all. Label map, table, maps and DICOM hold these
            alone.
        dicom_seg: Whether to write a DICOM Segmentation object, too.
        largest_component: Of which structures only the largest connected component is kept; see `Segmenter.__call__`.
    """

    dicom_seg: bool = False
    largest_component: LargestComponent = False

    def check(self, scans: Sequence[Path]) -> None:
        """Checks, before any work, that scans can have these outputs.

        Args:
            scans: The scans.

        Raises:
            ImportError: highdicom is needed and not installed.
            VolumeError: A DICOM Segmentation object is wanted of a scan that is not DICOM.
        """
        if not self.dicom_seg:
            return
        import_highdicom()
        for scan in scans:
            if scan.exists() and not scan.is_dir() and not is_dicom_file(scan):
                raise VolumeError(
                    file=scan,
                    expected="a DICOM series for a DICOM Segmentation object",
                    received="a scan in another format",
                    remedy="give the folder of its DICOM slices, or leave --dicom-seg out",
                )

    def chosen(self, labels: Sequence[Label]) -> tuple[Label, ...]:
        """Returns the structures that are wanted, after a check of all names of structures.

        Args:
            labels: All labels, background first.

        Raises:
            RecordError: One is unknown, or cleaning changes none of those that are wanted.
        """
        chosen = tuple(labels[1:]) if self.structures is None else choose_structures(labels, self.structures)
        numbers_to_clean(labels, self.largest_component, chosen)
        return chosen

    def in_words(self, labels: Sequence[Label]) -> str:
        """Returns what the choice of structures and their cleaning add to the words that say what made a label map.

        Args:
            labels: All labels, background first.
        """
        numbers = [label.id for label in self.chosen(labels)]
        words = "" if len(numbers) == len(labels) - 1 else f", only labels {' '.join(map(str, numbers))}"
        cleaned = sorted(numbers_to_clean(labels, self.largest_component))
        if not cleaned:
            return words
        of = "" if len(cleaned) == len(labels) - 1 else f" of labels {' '.join(map(str, cleaned))}"
        return f"{words}, largest component{of}"

    def are_missing(self, labels: Path, manifest: Mapping[str, Any], predictions: int) -> bool:
        """Returns whether a map is wanted that the manifest of a label map does not have, or not stored like this.

        Args:
            labels: The label map.
            manifest: Its manifest, or an empty one.
            predictions: How many predictions are averaged.
        """
        made = manifest.get("maps", {})
        for name in self.names(predictions):
            dtype = made.get(name, {}).get("StoredAs")
            if dtype is None or (name == "probabilities" and dtype != self.probabilities):
                return True
            if not map_path(labels, name).exists():
                return True
        return False


LABELS_ALONE = Outputs()


def beside(labels: Path, ending: str) -> Path:
    """Returns the path of what is made beside a label map.

    Args:
        labels: The label map.
        ending: What follows the scan's name.

    Example:
        >>> beside(Path("out/head_labels.nii.gz"), "_overlay.png").name
        'head_overlay.png'
    """
    return labels.with_name(stem(labels).removesuffix(LABELS_ENDING) + ending)


def map_path(labels: Path, name: str) -> Path:
    """Returns the path of a map of a label map; it follows BIDS if the name of the label map does.

    Args:
        labels: The label map.
        name: Name of the map.

    Example:
        >>> map_path(Path("out/head_labels.nii.gz"), "probabilities").name
        'head_probabilities.nii.gz'
        >>> map_path(Path("out/sub-1_desc-unet_dseg.nii.gz"), "probabilities").name
        'sub-1_desc-unet_probseg.nii.gz'
    """
    if stem(labels).endswith(LABELS_IN_BIDS):
        return labels.with_name(f"{stem(labels).removesuffix(LABELS_IN_BIDS)}_{MAPS_IN_BIDS[name]}.nii.gz")
    return beside(labels, f"_{name}.nii.gz")


def dicom_path(labels: Path) -> Path:
    """Returns the path of the DICOM Segmentation object of a label map.

    Args:
        labels: The label map.
    """
    return beside(labels, "_seg.dcm")


def write_map(labels: Path, one: ScanMap, further: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Writes a map, and a JSON file with its meaning and the order of its structures.

    Args:
        labels: The label map.
        one: The map.
        further: Further keys of its JSON file.

    Returns:
        What the manifest says of it.

    Raises:
        WriteError: It cannot be written.
    """
    path = one.save(map_path(labels, one.name))
    write_json(manifest_path(path), {**further, **one.sidecar()})
    return {"file": path.name, **one.sidecar()}
