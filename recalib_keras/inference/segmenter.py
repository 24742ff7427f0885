"""Segment a scan with a preset, on the scan's own grid."""

import functools

import numpy as np
from keras import ops

from recalib_keras import volumes, zoo
from recalib_keras.inference.windows import predict_labels


class Segmenter:
    """A network ready to segment scans, as its weight set describes.

    Args:
        weight_set: `recalib_keras.zoo.WeightSet` that says which window, orientation, spacing and normalisation the
            network expects, and which labels it gives.
        model: `keras.Model` of the weight set's input shape and classes.
    """

    def __init__(self, weight_set, model):
        self.weight_set = weight_set
        self.model = model

    @classmethod
    def from_preset(cls, preset, weights="default"):
        """Returns a segmenter for a preset by name; see `recalib_keras.zoo.load`."""
        return cls(zoo.weight_set(preset, weights), zoo.load(preset, weights))

    def __call__(self, scan, progress=None):
        """Returns the labels of a scan.

        Args:
            scan: `recalib_keras.volumes.Volume`.
            progress: function that wraps the sequence of windows to come, such as a progress bar, or None.

        Returns:
            Integer array of the label numbers, on the scan's own grid.
        """
        expects = self.weight_set.input
        conformed = scan.conform(expects.orientation, expects.spacing)
        classes = self.predict_classes(volumes.normalize(conformed.array, expects.normalization), progress)
        ids = np.array([label.id for label in self.weight_set.labels])
        return ids[volumes.restore_labels(classes, conformed.grid, scan.grid)]

    def predict_classes(self, image, progress=None):
        """Returns the index of each voxel's label, for an image oriented, resampled and normalised as expected."""
        return predict_labels(
            image, self._predict, self.weight_set.input.window, len(self.weight_set.labels), progress=progress
        )

    def _predict(self, windows):
        """Returns probabilities of windows `(batch, *window, 1)`; a 2-D network sees them without their slice axis."""
        axis = self.weight_set.input.slice_axis
        if axis is None:
            return ops.convert_to_numpy(self.model.predict_on_batch(windows))
        slices = np.squeeze(windows, axis=axis + 1)
        return np.expand_dims(ops.convert_to_numpy(self.model.predict_on_batch(slices)), axis + 1)


@functools.lru_cache(maxsize=1)
def _cached_segmenter(preset, weights, sha256):
    """Keeps the last network between calls; the SHA-256 tells when a preset in a folder has been written anew."""
    return Segmenter.from_preset(preset, weights)


def segment(scan, preset, weights="default", volume=None):
    """Returns the labels of a scan, on its own grid.

    Args:
        scan: path of a NIfTI, MGZ or Analyze file or of a folder with one DICOM series, or a nibabel image.
        preset: one of `recalib_keras.zoo.names()`, or the path of a folder that holds a `preset.json`.
        weights: name of one of the preset's weight sets. Defaults to its first.
        volume: index of the volume to take from a 4-D file.

    Returns:
        `nibabel` image of label numbers in the smallest integer type, with the scan's affine, codes and voxel sizes.

    Raises:
        ValueError: for a scan that cannot be read (`recalib_keras.volumes.VolumeError`) and for an unknown preset.

    Example:

        image = recalib_keras.segment("scan.nii.gz", preset="densenet3d_pe")
        image.to_filename("labels.nii.gz")
    """
    segmenter = _cached_segmenter(str(preset), weights, zoo.weight_set(preset, weights).sha256)
    scan = volumes.read(scan, volume=volume)
    return volumes.label_image(segmenter(scan), scan)
