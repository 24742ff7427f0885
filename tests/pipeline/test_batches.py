import keras
import numpy as np
import pytest

from recalib_keras.pipeline import Batches


class Numbered(Batches):
    """Batches that hold their own number, 1 or 2 examples each."""

    def __init__(self, count=5):
        super().__init__()
        self.count, self.made = count, []

    def __len__(self):
        return self.count

    def _make(self, step):
        self.made.append(step)
        size = 1 + step % 2
        return np.full((size, 3, 1), step, "float32"), np.full((size, 3, 1), step, "uint8")


def losses_of_fit(batches):
    """Returns Keras's running mean of the loss after each step of a model that halves its input and learns nothing."""
    losses = []
    halve = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(0.5))
    model = keras.Sequential([keras.Input((3, 1)), halve])
    model.compile(keras.optimizers.SGD(0.0), "mean_absolute_error")
    write = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"])))
    model.fit(batches.for_fit(), epochs=1, verbose=0, shuffle=False, callbacks=[write])
    return losses


def test_a_batch_is_that_of_its_number_whether_made_ahead_or_not():
    batches = Numbered()
    assert [batches[step][0].max() for step in (3, 0)] == [3, 0]
    batches.on_epoch_begin()
    assert [batches[step][0].max() for step in (0, 1, 4, 2)] == [0, 1, 4, 2]
    batches.on_epoch_end()
    assert batches[1][0].max() == 1


def test_fit_sees_each_batch_once_in_turn():
    batches, steps = Numbered(count=6), np.arange(6)
    sizes, losses = 1 + steps % 2, steps / 2
    np.testing.assert_allclose(losses_of_fit(batches), np.cumsum(losses * sizes) / np.cumsum(sizes), rtol=1e-6)
    assert set(batches.made) == set(range(6))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the other backends take the batches themselves")
def test_the_end_of_an_epoch_waits_for_no_tuning_of_its_dataset():
    dataset = Numbered(count=3).for_fit()
    assert dataset.options().autotune.enabled is False
    assert dataset.cardinality() == 3
    assert dataset.element_spec[0].shape.as_list() == [None, 3, 1] and dataset.element_spec[1].dtype == "uint8"
    assert [batch[0].numpy().max() for batch in dataset] == [0, 1, 2]


def test_an_error_of_a_batch_ends_the_epoch():
    class Broken(Numbered):
        def _make(self, step):
            if step == 2:
                raise RuntimeError("no such scan")
            return super()._make(step)

    with pytest.raises(Exception, match="no such scan"):
        losses_of_fit(Broken())
