"""Watch a training step by step, and end it where its numbers stop being numbers."""

import math

import keras
import numpy as np
from keras import ops

from recalib_keras.core.errors import DivergedError


class Watch(keras.callbacks.Callback):
    """Reports each step, and ends a training whose loss is no longer finite at the step where it happened.

    Args:
        examples: `Examples` of the epoch, to tell what the step saw.
        last_good: function that returns where the training could go on from, in words.
        on_step: function called with `(epoch, step, steps, loss)` after each step, epochs and steps from 1.
    """

    def __init__(self, examples, last_good, on_step):
        super().__init__()
        self.examples, self.last_good, self.on_step = examples, last_good, on_step

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Keras calls this after each step; `logs["loss"]` is the mean since the epoch's start."""
        epoch, loss = self.examples.epoch + 1, float(logs["loss"])
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss is no longer finite in epoch {epoch}, step {batch + 1}, on {self._files(batch)}"
                f"{f' (the step before: {self._files(batch - 1)})' if batch else ''}; look at these scans and mend "
                f"them, then --resume: {self.last_good()}; or begin anew in another folder, with a lower learning rate"
            )
        self.on_step(epoch, batch + 1, len(self.examples), loss)

    def _files(self, batch):
        return ", ".join(map(str, self.examples.files(batch)))


def check_weights(model, epoch, last_good) -> None:
    """Raises a `DivergedError` if a weight is not finite: the loss of the last step was taken before its update.

    Args:
        model: `keras.Model`.
        epoch: integer, from 1.
        last_good: as of `Watch`.
    """
    for variable in model.trainable_variables:
        if not np.isfinite(ops.convert_to_numpy(variable)).all():
            raise DivergedError(
                f"a weight ({variable.path}) is no longer finite at the end of epoch {epoch}; begin anew in another "
                f"folder, with a lower learning rate, or mend the scans of that epoch, then --resume: {last_good()}"
            )
