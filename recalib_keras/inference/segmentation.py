"""The result of segmenting a scan: labels, volumes, uncertainty and warnings."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np

from recalib_keras import volumes
from recalib_keras.evaluation import StructureVolume
from recalib_keras.inference.maps import ENTROPY, MUTUAL_INFORMATION, PROBABILITIES, ScanMap
from recalib_keras.inference.quality_control import (
    SegmentationStatistics,
    quality_warnings,
    segmentation_statistics,
)
from recalib_keras.inference.structure_choice import choose_structures, restricted
from recalib_keras.inference.uncertainty import Uncertainty
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Label, ReferenceRange


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The labels of a scan on its own grid, and what is known about them.

    It does not hold the scan's intensities. Volumes and warnings are computed when they are first asked for.

    Args:
        label_map: Label numbers on the scan's grid, with the header of the scan.
        classes: The labels that the network can give, background first.
        uncertainty: Mean uncertainty by structure; None if it was not measured.
        reference_range: What segmentations of validation scans are like; None if that is unknown.
        maps: Maps on the scan's grid by their names, as far as they were asked for.
        known_warnings: The warnings, if they are known from elsewhere; None to find them.

    Example:
        segmentation = recalib_keras.Segmenter("densenet3d_pe")("scan.nii.gz", probabilities="uint8")
        segmentation.probabilities().to_filename("probabilities.nii.gz")
        segmentation.image().to_filename("labels.nii.gz")
        {volume.name: volume.cubic_millimetres for volume in segmentation.volumes}
    """

    label_map: Volume
    classes: Sequence[Label]
    uncertainty: Uncertainty | None = None
    reference_range: ReferenceRange | None = None
    maps: Mapping[str, ScanMap] = field(default_factory=dict)
    known_warnings: tuple[str, ...] | None = None

    @property
    def labels(self) -> np.ndarray:
        """Integer array of label numbers, on the scan's grid."""
        return self.label_map.array

    @property
    def grid(self) -> Grid:
        """The scan's grid."""
        return self.label_map.grid

    @property
    def structures(self) -> tuple[Label, ...]:
        """The labels without the background: number, name, colour and counterpart of each structure."""
        return tuple(self.classes[1:])

    @functools.cached_property
    def statistics(self) -> SegmentationStatistics:
        """What quality control compares with the reference range."""
        return segmentation_statistics(self.labels, self.grid, self.structures, self.uncertainty)

    @property
    def volumes(self) -> tuple[StructureVolume, ...]:
        """The volume of each structure, in the order of `structures`."""
        return self.statistics.volumes

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is unusual about the segmentation, in sentences; none if it looks right."""
        if self.known_warnings is not None:
            return self.known_warnings
        return quality_warnings(self.statistics, self.reference_range)

    def only(self, structures: Sequence[str | int]) -> "Segmentation":
        """Returns the segmentation of some structures alone; the voxels of others become background.

        Its volumes, and their shares of the total, are those of these structures. Its warnings are those of all;
        its maps stay as they are.

        Args:
            structures: Names, numbers or patterns, such as `["hippocampus", 17, "*ventricle*"]`; a name without a side
                means both.

        Raises:
            RecordError: One fits no structure.
        """
        chosen = choose_structures(self.classes, structures)
        label_map = dataclasses.replace(self.label_map, array=restricted(self.labels, self.classes, chosen))
        classes = (self.classes[0], *chosen)
        return dataclasses.replace(self, label_map=label_map, classes=classes, known_warnings=self.warnings)

    def probabilities(self) -> nib.Nifti1Image:
        """Returns the probability of each structure on the scan's grid, `(X, Y, Z, structures)`, from 0 to 1.

        The order is that of `maps["probabilities"].structures`: the background and all structures, or the structures
        that were chosen. They are averaged over windows and networks, and interpolated at the scan's voxels; where all
        are kept they sum to 1, up to the rounding of the stored values. With a sigmoid each structure has one of its
        own, and the background has none. Air around the body is not predicted, but background. The image reads its
        values when they are used: `image.dataobj[..., 3]` reads one structure.

        Raises:
            ValueError: They were not asked for.
        """
        return self._map(PROBABILITIES, 'probabilities="uint8"').image()

    def entropy(self) -> nib.Nifti1Image:
        """Returns the entropy of the probabilities of each voxel, from 0 (certain) to 1; see `Uncertainty`.

        Raises:
            ValueError: It was not asked for.
        """
        return self._map(ENTROPY, "uncertainty_maps=True").image()

    def mutual_information(self) -> nib.Nifti1Image:
        """Returns how far several predictions of a voxel disagree, from 0 to 1; see `Measures`.

        These are the predictions by each network of an ensemble, of the scan and of its mirror image, and by each
        window that shows the voxel.

        Raises:
            ValueError: It was not asked for, or there was one network, without a flip.
        """
        return self._map(MUTUAL_INFORMATION, "uncertainty_maps=True and with an ensemble or flips").image()

    def image(self) -> nib.Nifti1Image:
        """Returns the labels in the smallest integer type, with the affine, codes and voxel sizes of the scan."""
        return volumes.label_image(self.labels, self.label_map)

    def _map(self, name, how):
        if name not in self.maps:
            raise ValueError(
                f"expected a segmentation with the map {name!r}, got one with {', '.join(self.maps) or 'none'}; call "
                f"the segmenter with {how}"
            )
        return self.maps[name]
