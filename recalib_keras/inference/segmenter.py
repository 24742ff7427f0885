"""Segment a scan with a network, on the scan's own grid."""

import numpy as np

from recalib_keras import volumes, zoo
from recalib_keras.inference import test_time_flip as flipping
from recalib_keras.inference.engines import KerasEngine, Undecided, open_engine
from recalib_keras.inference.foreground import body_labels
from recalib_keras.inference.preprocessing import ConformedScan
from recalib_keras.inference.sliding_window.predict import View, as_network_sees, central_windows


class Segmenter:
    """A network ready to segment scans, as its weight set describes.

    Args:
        weight_set: `recalib_keras.zoo.WeightSet` that says which window, orientation, spacing and normalisation the
            network expects, and which labels it gives.
        model: `keras.Model` of the weight set's input shape and classes, or an engine: any function from windows
            `(batch, *input_shape)` to their probabilities `(batch, *spatial, classes)`.
        flips: whether to average each prediction with that of the left-right mirror image, for networks that have
            seen both sides of the body. Takes twice the time. A network that sees single sagittal slices looks once:
            its mirror image is the slice itself.

    Raises:
        ValueError: with `flips`, for labels of two sides that do not name each other as `mirror`.
    """

    def __init__(self, weight_set, model, flips=False):
        self.weight_set = weight_set
        self.engine = KerasEngine(model) if hasattr(model, "predict_on_batch") else model
        self.flips = flips
        if flips:
            flipping.counterpart_classes(weight_set.labels)

    @classmethod
    def from_preset(cls, preset, weights="default", engine="keras", precision="float32", flips=False, threads=None):
        """Returns a segmenter for one weight set of a preset by name.

        Args:
            preset, weights, engine, precision, threads: see `recalib_keras.inference.open_engine`. Unlike there, Keras
                in float32 is the default, which gives the same labels on every machine but for rounding.
            flips: as above.
        """
        opened = open_engine(preset, weights, engine, precision, threads)
        return cls(zoo.weight_set(preset, weights), opened, flips)

    @property
    def input(self):
        """What the network expects to see, a `recalib_keras.zoo.Input`."""
        return self.weight_set.input

    @property
    def labels(self):
        """The labels it gives, a tuple of `recalib_keras.zoo.Label`, background first."""
        return self.weight_set.labels

    @property
    def engines(self):
        """The engines at work, a list."""
        return [self.engine]

    @property
    def typical(self):
        """What segmentations of scans like those of training look like, a `recalib_keras.zoo.Typical`, or None."""
        return self.weight_set.typical

    def __call__(self, scan, progress=None, confidence=None):
        """Returns the labels of a scan.

        Args:
            scan: `recalib_keras.volumes.Volume`.
            progress: function that wraps the sequence of windows to come, such as a progress bar, or None.
            confidence: `Confidence` that collects how sure the labels are, or None.

        Returns:
            Integer array of the label numbers, on the scan's own grid.
        """
        return scan_labels(self, scan, progress, confidence)

    def predict_classes(self, image, progress=None, confidence=None, lines=None):
        """Returns the index of each voxel's label, for an image oriented, resampled and normalised as expected.

        Args:
            image: array, or anything like one, as `recalib_keras.inference.average_labels` takes it.
            progress, confidence: as above.
            lines: of another grid that the labels are wanted on, see there; or None.
        """
        observe = confidence and confidence.observe
        return body_labels(image, [self.view(image)], len(self.labels), progress, observe, lines)

    def view(self, image, weight=1.0):
        """Returns how the network looks at an image, a `View`; where the engine is undecided, the image decides."""
        if isinstance(self.engine, Undecided):
            windows = central_windows(image, self.input.window, self.input.margin)
            self.engine = self.engine.decided(as_network_sees(windows, self.input))
        predict = self._predict
        if self.flips and self.input.shows_sides:
            predict = flipping.mirrored(predict, self.labels, self.input.lateral_axis)
        at_a_time = getattr(self.engine, "voxels_per_batch", None)
        return View(predict, self.input.window, weight, at_a_time, self.input.margin)

    def _predict(self, windows):
        """Returns probabilities of windows `(batch, *seen, 1)`."""
        probabilities = self.engine(as_network_sees(windows, self.input))
        axis = self.input.slice_axis
        return probabilities if axis is None else np.expand_dims(probabilities, axis + 1)


def scan_labels(segmenter, scan, progress=None, confidence=None):
    """Returns the label numbers of a scan on its own grid.

    Args:
        segmenter: object with `input`, `labels` and `predict_classes`, as `Segmenter` has them.
        scan, progress, confidence: as in `Segmenter.__call__`.
    """
    image = ConformedScan(scan, segmenter.input)
    classes = segmenter.predict_classes(image, progress, confidence, image.lines)
    ids = np.array([label.id for label in segmenter.labels])
    return ids.astype(volumes.smallest_integer(ids))[volumes.resample(classes, image.turned, scan.grid, order=0)]
