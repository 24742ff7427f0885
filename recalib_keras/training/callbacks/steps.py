"""What happens at each step of a training: progress, an end if it diverges, the seeds of PyTorch."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from recalib_keras.core.errors import DivergedError


class Epoch(Protocol):
    """The examples of an epoch, as far as callbacks need to know them."""

    seed: int
    epoch: int

    def __len__(self) -> int:
        """Returns the number of steps."""

    def files(self, step: int) -> list[str]:
        """Returns the files of the scans in a batch."""


class StepMonitor(keras.callbacks.Callback):
    """Reports each step, and ends a training at the step whose loss is no longer finite.

    Args:
        examples: The examples of the epoch.
        last_checkpoint: Returns in words where the training could continue from.
        on_step: Called with `(epoch, step, steps, loss)` after each step; epochs and steps count from 1.
    """

    def __init__(self, examples: Epoch, last_checkpoint: Callable[[], str], on_step: Callable[..., object]):
        super().__init__()
        self.examples, self.last_checkpoint, self.on_step = examples, last_checkpoint, on_step

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks and reports a step.

        Args:
            batch: Number of the step, from 0.
            logs: `"loss"` is the mean since the start of the epoch.

        Raises:
            DivergedError: The loss is no longer finite.
        """
        epoch, loss = self.examples.epoch + 1, float(logs["loss"])
        if not math.isfinite(loss):
            before = f" (the step before: {self._files(batch - 1)})" if batch else ""
            raise DivergedError(
                expected="a finite loss",
                received=f"{loss} in epoch {epoch}, step {batch + 1}, on {self._files(batch)}{before}",
                remedy=f"check and correct these scans, then continue with --resume: {self.last_checkpoint()}; or "
                "start again in another folder, with a lower learning rate",
            )
        self.on_step(epoch, batch + 1, len(self.examples), loss)

    def _files(self, batch):
        return ", ".join(map(str, self.examples.files(batch)))


class TorchSeeds(keras.callbacks.Callback):
    """Seeds each step on PyTorch, whose dropout draws from a generator of the process that no checkpoint stores.

    Args:
        examples: The examples of the epoch.
    """

    def __init__(self, examples: Epoch):
        super().__init__()
        self.seeds = [examples.seed, examples.epoch]

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Seeds a step.

        Args:
            batch: Number of the step, from 0.
            logs: Not used.
        """
        if keras.backend.backend() == "torch":
            import torch

            torch.manual_seed(np.random.SeedSequence([*self.seeds, batch]).generate_state(1)[0].item())


def check_weights(model: keras.Model, epoch: int, last_checkpoint: Callable[[], str]) -> None:
    """Checks that all weights are finite. The loss of the last step is computed before its update of the weights.

    Args:
        model: The model after an epoch.
        epoch: Number of the epoch, from 1.
        last_checkpoint: Returns in words where the training could continue from.

    Raises:
        DivergedError: A weight is not finite.
    """
    for variable in model.trainable_variables:
        if not np.isfinite(ops.convert_to_numpy(variable)).all():
            raise DivergedError(
                expected="finite weights",
                received=f"infinite or undefined values in {variable.path} at the end of epoch {epoch}",
                remedy="start again in another folder, with a lower learning rate; or check and correct the scans of "
                f"that epoch, then continue with --resume: {last_checkpoint()}",
            )
