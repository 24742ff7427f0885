"""Keras's optimizers and what recipes ask for beyond them: rates by variable, weight decay as the papers have it."""

import math

import keras

from recalib_keras.zoo.weights import is_head


class _Recipe:
    """What is added to a Keras optimizer.

    Args:
        body_rate: factor of the learning rate for all variables but those of the classifier.
        gradient_decay: factor of each variable that is added to its gradient (L2 regularisation, which momentum sees,
            unlike Keras's own decoupled `weight_decay`).
    """

    def __init__(self, *args, body_rate=1.0, gradient_decay=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.body_rate = body_rate
        self.gradient_decay = gradient_decay

    def build(self, variables):
        super().build(variables)
        self._rates = [1.0 if is_head(variable.path) else self.body_rate for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        if self.gradient_decay:
            gradient = gradient + keras.ops.cast(self.gradient_decay * variable, gradient.dtype)
        return super().update_step(gradient, variable, learning_rate * self._rate_of(variable))

    def _rate_of(self, variable):
        return self._rates[self._get_variable_index(variable)]

    def _clip_gradients(self, grads):
        return grads if _number_of_replicas() > 1 else super()._clip_gradients(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Clips what the devices of a `tf.distribute` strategy add up to; Keras would clip what each one adds."""
        grads_and_vars = super()._all_reduce_sum_gradients(grads_and_vars)
        if _number_of_replicas() == 1:
            return grads_and_vars
        grads, variables = zip(*grads_and_vars)
        return list(zip(super()._clip_gradients(list(grads)), variables))

    def finalize_variable_values(self, var_list):
        """Leaves the last weights in place at the end of `fit`, where Keras would put their moving average."""

    def averages(self, variables):
        """Returns the moving averages of variables, in their order."""
        return [self._model_variables_moving_average[self._get_variable_index(variable)] for variable in variables]

    def get_config(self):
        return {**super().get_config(), "body_rate": self.body_rate, "gradient_decay": self.gradient_decay}


class _Shrinking(_Recipe):
    """Decoupled weight decay at each variable's own rate, where Keras would take the same for all."""

    def update_step(self, gradient, variable, learning_rate):
        if self._use_weight_decay(variable):
            shrinkage = keras.ops.cast(self.weight_decay * learning_rate * self._rate_of(variable), variable.dtype)
            self.assign_sub(variable, keras.ops.multiply(variable, shrinkage))
        return super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        """Leaves the decay to `update_step`."""


@keras.saving.register_keras_serializable(package="recalib_keras")
class RecipeAdam(_Recipe, keras.optimizers.Adam):
    """Adam (Kingma & Ba, ICLR 2015)."""


@keras.saving.register_keras_serializable(package="recalib_keras")
class RecipeAdamW(_Shrinking, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019)."""


@keras.saving.register_keras_serializable(package="recalib_keras")
class RecipeSGD(_Recipe, keras.optimizers.SGD):
    """Stochastic gradient descent with momentum."""


@keras.saving.register_keras_serializable(package="recalib_keras")
class RecipeMuon(_Shrinking, keras.optimizers.Muon):
    """Muon (Jordan et al., 2024; rates as Adam's by Liu et al., arXiv 2502.16982) for the kernels of the body.

    The step of a kernel is its momentum with all singular values made about equal, the kernel seen as a matrix from all
    that a voxel of the output sees to the output's channels. Biases, scales and the classifier are Adam's.
    """

    def zeropower_via_newtonschulz5(self, x, steps):
        """As Keras's, for a kernel of any rank."""
        matrix = keras.ops.reshape(x, (-1, x.shape[-1]))
        return keras.ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x):
        """As Keras's, for a kernel of any rank."""
        return x * (self.rms_rate * max(math.prod(x.shape[:-1]), x.shape[-1]) ** 0.5)

    def _should_use_adamw(self, variable):
        return len(variable.shape) < 2 or is_head(variable.path)


def make_optimizer(recipe, steps_per_epoch):
    """Returns the optimizer of a recipe, ready to compile a model with.

    Args:
        recipe: `Recipe`.
        steps_per_epoch: integer.
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
