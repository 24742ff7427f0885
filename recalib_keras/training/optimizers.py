"""Keras's optimizers with the additions of recipes: a rate for each variable, weight decay as in the papers."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from recalib_keras.training.recipe import Recipe
from recalib_keras.zoo.weights import is_head

if TYPE_CHECKING:
    from keras.optimizers import Optimizer as _Optimizer
else:
    _Optimizer = object

Tensor = Any  # of the backend in use, which Keras has no type for


class _RecipeOptimizer(_Optimizer):
    """The additions to a Keras optimizer, as a mixin.

    Args:
        *args: Arguments of the Keras optimizer.
        body_rate: Factor of the learning rate for all variables but those of the classifier.
        gradient_decay: Factor of each variable that is added to its gradient. This is L2 regularisation, which
            momentum accumulates, unlike Keras's own decoupled `weight_decay`.
        **kwargs: Arguments of the Keras optimizer.
    """

    def __init__(self, *args: Any, body_rate: float = 1.0, gradient_decay: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.body_rate = body_rate
        self.gradient_decay = gradient_decay

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates the state of the optimizer, and finds the rate of each variable."""
        super().build(variables)
        self._rates = [1.0 if is_head(variable.path) else self.body_rate for variable in variables]

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Updates a variable, with its own decay and rate."""
        if self.gradient_decay:
            gradient = gradient + keras.ops.cast(self.gradient_decay * variable, gradient.dtype)
        return super().update_step(gradient, variable, learning_rate * self._rate_of(variable))

    def _rate_of(self, variable):
        return self._rates[self._get_variable_index(variable)]

    def _clip_gradients(self, grads):
        return grads if _number_of_replicas() > 1 else super()._clip_gradients(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Clips the sum of the gradients of a `tf.distribute` strategy's devices; Keras would clip each device's."""
        grads_and_vars = super()._all_reduce_sum_gradients(grads_and_vars)
        if _number_of_replicas() == 1:
            return grads_and_vars
        grads, variables = zip(*grads_and_vars)
        return list(zip(super()._clip_gradients(list(grads)), variables))

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Keeps the last weights at the end of `fit`; Keras would replace them by their moving average."""

    def averages(self, variables: Sequence[keras.Variable]) -> list[keras.Variable]:
        """Returns the moving averages of variables, in their order.

        Args:
            variables: Variables of the model that the optimizer was built with.
        """
        return [self._model_variables_moving_average[self._get_variable_index(variable)] for variable in variables]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "body_rate": self.body_rate, "gradient_decay": self.gradient_decay}


class _DecoupledDecay(_RecipeOptimizer):
    """Decoupled weight decay with each variable's own rate; Keras has one rate for all."""

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Shrinks a variable, then updates it."""
        if self._use_weight_decay(variable):
            shrinkage = keras.ops.cast(self.weight_decay * learning_rate * self._rate_of(variable), variable.dtype)
            self.assign_sub(variable, keras.ops.multiply(variable, shrinkage))
        return super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        """Leaves the decay to `update_step`."""


@keras.saving.register_keras_serializable(package="recalib_keras")
class RecipeAdam(_RecipeOptimizer, keras.optimizers.Adam):
    """Adam (Kingma & Ba, ICLR 2015)."""


@keras.saving.register_keras_serializable(package="recalib_keras")
class RecipeAdamW(_DecoupledDecay, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019)."""


@keras.saving.register_keras_serializable(package="recalib_keras")
class RecipeSGD(_RecipeOptimizer, keras.optimizers.SGD):
    """Stochastic gradient descent with momentum."""


@keras.saving.register_keras_serializable(package="recalib_keras")
class RecipeMuon(_DecoupledDecay, keras.optimizers.Muon):
    """Muon (Jordan et al., 2024; with Adam's rates, Liu et al., arXiv 2502.16982) for the kernels of the body.

    The step of a kernel is its momentum with all singular values made about equal. The kernel counts as a matrix from
    everything that an output voxel sees to the output's channels. Adam updates biases, scales and the classifier.
    """

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        """Returns a kernel of any rank with its singular values made about equal; Keras's method takes matrices."""
        matrix = keras.ops.reshape(x, (-1, x.shape[-1]))
        return keras.ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Tensor) -> Tensor:
        """Returns the step of a kernel of any rank, scaled to the length of Adam's; Keras's method takes matrices."""
        return x * (self.rms_rate * max(math.prod(x.shape[:-1]), x.shape[-1]) ** 0.5)

    def _should_use_adamw(self, variable):
        return len(variable.shape) < 2 or is_head(variable.path)


def make_optimizer(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a recipe, ready to compile a model with.

    Args:
        recipe: The recipe.
        steps_per_epoch: Steps in an epoch, which the schedule of the learning rate counts in.
    """
    settings, average = recipe.optimizer, recipe.schedule.average
    arguments = {
        "learning_rate": _rate(settings, steps_per_epoch, recipe.schedule.epochs),
        "global_clipnorm": settings.clip_norm or None,
        "use_ema": bool(average),
        "ema_momentum": average or 0.99,
        "body_rate": recipe.fine_tuning.body_rate,
    }
    if settings.name == "sgd":
        return RecipeSGD(momentum=settings.momentum, gradient_decay=settings.weight_decay, **arguments)
    if settings.name == "adamw":
        return RecipeAdamW(weight_decay=settings.weight_decay, **arguments)
    if settings.name == "muon":
        return RecipeMuon(weight_decay=settings.weight_decay, **arguments)
    return RecipeAdam(**arguments)


def _number_of_replicas():
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def _rate(settings, steps_per_epoch, epochs):
    peak, warmup = settings.learning_rate, round(settings.warmup_epochs * steps_per_epoch)
    if settings.decay == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else peak,
            decay_steps=max(1, epochs * steps_per_epoch - warmup),
            warmup_target=peak if warmup else None,
            warmup_steps=warmup,
        )
    if settings.decay == "step":
        return keras.optimizers.schedules.ExponentialDecay(
            peak, settings.decay_epochs * steps_per_epoch, settings.decay_factor, staircase=True
        )
    return peak
