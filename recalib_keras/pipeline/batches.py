"""The batches of an epoch, as `fit` takes them."""

import contextlib

import keras

from recalib_keras.pipeline.prefetch import Ahead


class Batches(keras.utils.PyDataset):
    """The batches of one epoch, each made by its number, in threads shortly before it is its turn.

    A subclass has `__len__`, how many there are, and `_make`, from a batch's number to a tuple of arrays or tensors.
    """

    def __init__(self):
        super().__init__()
        self._ahead = None

    def __getitem__(self, step):
        return self._make(step) if self._ahead is None else self._ahead[step]

    def on_epoch_begin(self) -> None:
        self._ahead = Ahead(self._make, len(self))

    def on_epoch_end(self) -> None:
        if self._ahead is not None:
            self._ahead.close()

    def for_fit(self):
        """Returns what to give `fit`, whose epoch it serves once: the batches themselves, or on TensorFlow a dataset.

        TensorFlow tunes the dataset that Keras makes of a `PyDataset` in a thread that looks again after 10 ms, 20 ms,
        40 ms, … up to a minute, and the end of `fit` waits until it next does: for up to as long as the epoch took.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        first = self[0]

        def in_turn():
            yield first
            with contextlib.closing(Ahead(self._make, len(self))) as ahead:  # its own: Keras may look at a batch before
                for step in range(1, len(self)):
                    yield ahead[step]

        options = tf.data.Options()
        options.autotune.enabled = False
        signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in first)
        dataset = tf.data.Dataset.from_generator(in_turn, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).with_options(options)
