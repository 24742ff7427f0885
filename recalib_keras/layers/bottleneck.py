"""What the blocks with two projections share: C channels to C/r and back."""

from recalib_keras.layers.recalibration import Recalibration, reduced_channels


class BottleneckRecalibration(Recalibration):
    """Base of blocks that make their logits by `W₁ δ(W₂ z)`.

    `W₂: C → C/r` is the sub-layer `reduce`, `W₁: C/r → C` the sub-layer `expand`.

    Args:
        reduction_ratio: number from 1 to the number of channels, the `r` above.
        use_bias: whether both projections have a bias.
        **kwargs: see `recalib_keras.layers.Recalibration`.

    Raises:
        ValueError: if `reduction_ratio` is below 1 or above the number of channels.
    """

    public_name = None  # what errors call a block that is part of another one

    def __init__(self, reduction_ratio, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.reduction_ratio = reduction_ratio
        self.use_bias = use_bias

    def build(self, input_shape) -> None:
        super().build(input_shape)
        hidden = reduced_channels(self.channels, self.reduction_ratio, self.public_name or type(self).__name__)
        self.reduce = self.pointwise(hidden, name="reduce", use_bias=self.use_bias)
        self.expand = self.pointwise(self.channels, name="expand", use_bias=self.use_bias, makes_logits=True)
        self.reduce.build(input_shape)
        self.expand.build(self.reduce.compute_output_shape(input_shape))

    def get_config(self):
        return {**super().get_config(), "reduction_ratio": self.reduction_ratio, "use_bias": self.use_bias}
