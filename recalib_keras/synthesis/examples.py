"""Training examples made from label maps, batch by batch."""

import keras
import numpy as np
from keras import ops

from recalib_keras.pipeline import Batches


class GeneratedExamples(Batches):
    """The examples of one epoch, in batches; the same for the same seed and epoch, on every backend.

    The label maps take turns in a random order. Each window lies around the brain, with its centre in the brain's own
    or, as often as the settings' `within_brain` says, anywhere in the brain; or, as often as `anywhere` says, with its
    centre anywhere in the head. The slices of a batch for a 2-D network come from one scan, so that its brightness is
    normalised as a whole, as it will be when the network is used.

    Args:
        maps: `LabelMaps`.
        random_scan: `RandomScan`.
        steps: number of batches.
        batch_size: examples a batch.
        seed: integer.
        epoch: integer.
        settings: `Synthesis`, if others than those of `random_scan`, such as more varied ones in later epochs; nothing
            is compiled again while the same of them are 0.
        slice_axis: the axis that a 2-D network slices the scans along, which its examples lack; or None.
        share: slice, which examples of each batch to make; random numbers are drawn for all of it.
        context: how many slices on either side of its own an example shows, as further channels; beyond the scan its
            outermost slice is continued.

    Items: images `(batch, *spatial, channels)` float32 and classes `(batch, *spatial, 1)`.

    Raises:
        ValueError: if the label maps have not the voxels that `random_scan` takes them to have.
    """

    def __init__(
        self,
        maps,
        random_scan,
        steps,
        batch_size=1,
        seed=0,
        epoch=0,
        settings=None,
        slice_axis=None,
        share=slice(None),
        context=0,
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
        self._scans = batch_size if slice_axis is None else 1  # a batch
        passes = -(-steps * self._scans // len(maps))
        self.order = np.concatenate([rng.permutation(len(maps)) for _ in range(passes)])
        self._run = random_scan.compiled()

    def __len__(self):
        return self.steps

    def files(self, step):
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
        """Returns a batch of slices of one scan, different ones if it has so many, with those beside them."""
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
        # Nothing is drawn where it is 0: recipes that do not name it go on making the scans they made.
        if self.settings.within_brain and rng.random() < self.settings.within_brain:
            return rng.uniform(*self.maps.brains[place].T)
        return self.maps.centres[place]
