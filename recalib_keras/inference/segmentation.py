"""The result of segmenting a scan: labels, volumes, uncertainty and warnings."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from recalib_keras import volumes
from recalib_keras.evaluation import StructureVolume
from recalib_keras.inference.quality_control import (
    SegmentationStatistics,
    quality_warnings,
    segmentation_statistics,
)
from recalib_keras.inference.uncertainty import Uncertainty
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Label, OwnAsymmetry, ReferenceRange


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The labels of a scan on its own grid, and what is known about them.

    It does not hold the scan's intensities. Volumes and warnings are computed when they are first asked for.

    Args:
        label_map: Label numbers on the scan's grid, with the header of the scan.
        classes: The labels that the network can give, background first.
        uncertainty: Mean uncertainty by structure; None if it was not measured.
        reference_range: What segmentations of validation scans are like; None if that is unknown.
        own_asymmetry: The asymmetry that the network itself adds; None if that is unknown.

    Example:
        segmentation = recalib_keras.Segmenter("densenet3d_pe")("scan.nii.gz")
        segmentation.image().to_filename("labels.nii.gz")
        {volume.name: volume.cubic_millimetres for volume in segmentation.volumes}
    """

    label_map: Volume
    classes: Sequence[Label]
    uncertainty: Uncertainty | None = None
    reference_range: ReferenceRange | None = None
    own_asymmetry: OwnAsymmetry | None = None

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
        if self.own_asymmetry is None:
            return self.statistics.volumes
        names = {structure.id: structure.name for structure in self.structures}
        pairs = [(structure.name, names.get(structure.mirror, "")) for structure in self.structures]
        own = [self.own_asymmetry.of(*pair) for pair in pairs]
        return tuple(dataclasses.replace(each, own_asymmetry=of) for each, of in zip(self.statistics.volumes, own))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is unusual about the segmentation, in sentences; none if it looks right."""
        return quality_warnings(self.statistics, self.reference_range)

    def image(self) -> nib.Nifti1Image:
        """Returns the labels in the smallest integer type, with the affine, codes and voxel sizes of the scan."""
        return volumes.label_image(self.labels, self.label_map)
