"""One network with its engine, and how it looks at a scan."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recalib_keras.inference.engines import Engine, KerasEngine, Undecided
from recalib_keras.inference.sliding_window.predict import View, central_windows
from recalib_keras.inference.sliding_window.window_rows import changed, predicted, whole
from recalib_keras.inference.test_time_flip import with_flip
from recalib_keras.volumes.windows import Image
from recalib_keras.zoo import WeightSet
from recalib_keras.zoo.decision import with_background
from recalib_keras.zoo.labels import counterpart_classes
from recalib_keras.zoo.preprocessing import as_network_sees


class Predictor:
    """One network of a `Segmenter`.

    Args:
        weight_set: What the network expects to see, and which labels it gives.
        model: `keras.Model`, or an engine; see `Segmenter`.
        flips: Whether to average each prediction with that of the left-right mirror image. A network that sees single
            sagittal slices predicts once: its mirror image is the slice itself.

    Attributes:
        engine: What computes the network. An engine that is not selected yet is replaced when the first image comes.

    Raises:
        ValueError: With `flips`, if labels of two sides do not name each other as `mirror`.
    """

    def __init__(self, weight_set: WeightSet, model: Any, flips: bool = False):
        self.weight_set = weight_set
        self.engine: Engine = KerasEngine(model) if hasattr(model, "predict_on_batch") else model
        self.flips = flips
        if flips:
            counterpart_classes(weight_set.labels)

    @property
    def predictions(self) -> int:
        """How many predictions of a voxel it averages: of the image, and of its mirror image."""
        return 2 if self.flips and self.weight_set.input.shows_sides else 1

    def view(self, image: Image, weight: float = 1.0, extend: Callable[[np.ndarray], np.ndarray] | None = None) -> View:
        """Returns how the network looks at an image. If its engine is not selected yet, this image selects it.

        Args:
            image: Oriented, resampled and normalised as the network expects; see `SlidingWindow.predict`.
            weight: Weight of the network's probabilities beside those of others.
            extend: Adds further channels to each prediction, before it is averaged with that of the mirror image; or
                None.
        """
        expects = self.weight_set.input
        if isinstance(self.engine, Undecided):
            windows = central_windows(image, expects.window, expects.margin)
            self.engine = self.engine.decided(as_network_sees(windows, expects))
        predict = self._predict if extend is None else lambda windows: changed(extend, self._predict(windows))
        if self.predictions > 1:
            predict = with_flip(predict, self.weight_set.labels, expects.lateral_axis)
        voxels_per_batch = getattr(self.engine, "voxels_per_batch", None)
        return View(predict, expects.window, weight, voxels_per_batch, expects.margin, expects.num_channels)

    def _predict(self, windows):
        """Returns probabilities `(batch, *window, num_classes)` of windows `(batch, *seen, channels)`."""
        expects = self.weight_set.input
        prediction = predicted(self.engine, as_network_sees(windows, expects))
        if self.weight_set.network.has_sigmoid:
            prediction = changed(with_background, prediction)
        axis = expects.slice_axis
        return prediction if axis is None else np.expand_dims(whole(prediction), axis + 1)
