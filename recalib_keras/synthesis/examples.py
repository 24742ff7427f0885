"""Training examples generated from label maps, batch by batch."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from recalib_keras.pipeline import Batches
from recalib_keras.synthesis.label_maps import LabelMaps
from recalib_keras.synthesis.random_scan import RandomScan
from recalib_keras.synthesis.settings import Synthesis


class GeneratedExamples(Batches):
    """The examples of one epoch, in batches; the same for the same seed and epoch, on every backend.

    The label maps take turns in a random order. Each window lies around the brain, with its centre in the brain's
    centre or, with the settings' probability `within_brain`, anywhere in the brain; or, with the probability
    `anywhere`, with its centre anywhere in the head. The slices of a batch for a 2-D network come from one scan. So its
    brightness is normalised as a whole, as it is when the network is used.

    A batch is a tuple: images `(batch, *spatial, channels)` float32 and classes `(batch, *spatial, 1)`.

    Args:
        maps: The label maps.
        random_scan: The layer that generates scans.
        steps: Number of batches.
        batch_size: Examples in a batch.
        seed: Integer.
        epoch: Integer.
        settings: Other settings than those of `random_scan`, such as more varied ones in later epochs; or None.
            Nothing is compiled again as long as the same settings are 0.
        slice_axis: The axis along which a 2-D network slices the scans, and which its examples lack; or None.
        share: Slice, which examples of each batch to make; random numbers are drawn for the whole batch.
        context: How many slices on either side of its own an example shows, as further channels; beyond the scan its
            outermost slice is continued.

    Raises:
        ValueError: If the label maps have other voxels than `random_scan` expects.
    """

    def __init__(
        self,
        maps: LabelMaps,
        random_scan: RandomScan,
        steps: int,
        batch_size: int = 1,
        seed: int = 0,
        epoch: int = 0,
        settings: Synthesis | None = None,
        slice_axis: int | None = None,
        share: slice = slice(None),
        context: int = 0,
    ):
        super().__init__()
        frame = random_scan.frame
        if not np.allclose(frame.map_spacing, maps.spacing, rtol=1e-3):
            raise ValueError(
                f"expected label maps with voxels of {frame.map_spacing} mm, got {maps.spacing}; "
                "make RandomScan with map_spacing=maps.spacing"
            )
        self.maps, self.random_scan, self.share = maps, random_scan, share
        self.slice_axis, self.context = slice_axis, context
        self.steps, self.batch_size, self.seed, self.epoch = steps, batch_size, seed, epoch
        self.settings = settings or random_scan.settings
        rng = np.random.default_rng([seed, epoch])
        self._scans = batch_size if slice_axis is None else 1  # in a batch
        passes = -(-steps * self._scans // len(maps))
        self.order = np.concatenate([rng.permutation(len(maps)) for _ in range(passes)])
        self._run = random_scan.compiled()

    def __len__(self):
        return self.steps

    def files(self, step: int) -> list[str]:
        """Returns the files of the label maps of a batch."""
        return [str(self.maps.files[place]) for place in self._places(step)]

    def _make(self, step):
        places = self._places(step)
        rng = np.random.default_rng([self.seed, self.epoch, step])
        centres = [self._centre(place, rng) for place in places]
        draw = self.random_scan.draw(centres, rng, self.settings)
        if self.slice_axis is not None:
            return self._slices(self._run(self.maps.arrays[places], draw), rng)
        draw = keras.tree.map_structure(lambda x: None if x is None else x[self.share], draw)
        return self._run(self.maps.arrays[places[self.share]], draw)

    def _slices(self, examples, rng):
        """Returns a batch of slices of one scan with their neighbours; no slice is repeated if there are enough."""
        size = self.random_scan.frame.window[self.slice_axis]
        chosen = np.resize(rng.permutation(size), self.batch_size)[self.share]
        beside = np.clip(chosen[:, None] + np.arange(-self.context, self.context + 1), 0, size - 1)
        images, classes = (ops.moveaxis(tensor[0, ..., 0], self.slice_axis, 0) for tensor in examples)
        return ops.moveaxis(ops.take(images, beside, 0), 1, -1), ops.expand_dims(ops.take(classes, chosen, 0), -1)

    def _places(self, step):
        return self.order[step * self._scans : (step + 1) * self._scans]

    def _centre(self, place, rng):
        if rng.random() < self.settings.anywhere:
            return rng.uniform(0, self.maps.heads[place] - 1)
        # With 0 no number is drawn, so that recipes without this key still make the same scans.
        if self.settings.within_brain and rng.random() < self.settings.within_brain:
            return rng.uniform(*self.maps.brains[place].T)
        return self.maps.centres[place]
