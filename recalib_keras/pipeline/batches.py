"""The batches of an epoch, in the form that `fit` takes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import keras

from recalib_keras.pipeline.prefetch import Prefetch

if TYPE_CHECKING:
    import tensorflow as tf


class Batches(keras.utils.PyDataset):
    """The batches of one epoch, each made from its number, in threads shortly before it is needed.

    A subclass defines `__len__`, the number of batches, and `_make`, which returns the tuple of arrays or tensors that
    belongs to the number of a batch.
    """

    def __init__(self):
        super().__init__()
        self._prefetch = None

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        return self._make(step) if self._prefetch is None else self._prefetch[step]

    def on_epoch_begin(self) -> None:
        """Begins to prefetch; Keras calls it."""
        self._prefetch = Prefetch(self._make, len(self))

    def on_epoch_end(self) -> None:
        """Ends prefetching; Keras calls it."""
        if self._prefetch is not None:
            self._prefetch.close()

    def for_fit(self) -> Batches | tf.data.Dataset:
        """Returns what to give `fit` for one epoch: these batches, or on TensorFlow a dataset of them.

        TensorFlow tunes the dataset that Keras makes of a `PyDataset` in a thread that wakes after 10 ms, 20 ms,
        40 ms, … up to a minute. The end of `fit` waits until it wakes: for up to as long as the epoch took.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        first = self[0]

        def in_turn():
            yield first
            # A prefetch of its own, because Keras may look at a batch before the epoch begins.
            with contextlib.closing(Prefetch(self._make, len(self))) as prefetch:
                for step in range(1, len(self)):
                    yield prefetch[step]

        options = tf.data.Options()
        options.autotune.enabled = False
        signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in first)
        dataset = tf.data.Dataset.from_generator(in_turn, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).with_options(options)
