"""What all blocks with a bottleneck share: their reduction ratio and its errors."""

import pytest


def check_reduction_ratio_errors(layer_class, name, channels, **arguments):
    """Checks that a layer refuses ratios below 1 and above the number of channels, and takes those at the limits.

    Args:
        layer_class: the layer.
        name: string, the layer's name in the message.
        channels: integer, number of channels that the bottleneck reduces.
        **arguments: further arguments of the layer.
    """
    for ratio in (0, 0.5, -2, channels + 1):
        with pytest.raises(ValueError, match=rf"expected `reduction_ratio` of `{name}` .* {channels}, got {ratio};"):
            layer_class(reduction_ratio=ratio, **arguments).build((None, 4, 4, 8))
    for ratio in (1, channels):
        layer_class(reduction_ratio=ratio, **arguments).build((None, 4, 4, 8))
