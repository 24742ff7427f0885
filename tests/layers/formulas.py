"""The blocks' formulas, read off the papers in NumPy: slow, in float64, channels last.

Nothing here knows how the layers compute; the two share the names of their weights alone. `peak` is the largest value
of a gate: 1, or 2 for blocks that start as the identity.
"""

import numpy as np


def channel_se(u, weights, peak=1):
    """U · σ(W₁ δ(W₂ z)), with z the mean over space."""
    z = u.mean(axis=spatial_axes(u), keepdims=True)
    return u * peak * sigmoid(bottleneck(z, weights))


def spatial_se(u, weights, peak=1):
    """U · σ(W ⋆ U)."""
    return u * peak * sigmoid(pointwise(u, weights, "squeeze"))


def channel_spatial_se(u, weights, peak=1, aggregation="max"):
    """The aggregation of the outputs of cSE and sSE; the mean in place of the sum on identity start."""
    by_channel = channel_se(u, under("channel", weights), peak)
    by_space = spatial_se(u, under("spatial", weights), peak)
    if aggregation == "max":
        return np.maximum(by_channel, by_space)
    if aggregation == "add":
        return (by_channel + by_space) / peak
    if aggregation == "multiply":
        return by_channel * by_space
    return np.concatenate([by_channel, by_space], axis=-1)


def project_excite(u, weights, peak=1):
    """U · σ(W₁ δ(W₂ z)), with z the full-size sum of the projections onto every spatial axis."""
    z = np.zeros_like(u)
    for axis in spatial_axes(u):
        others = tuple(other for other in spatial_axes(u) if other != axis)
        z = z + u.mean(axis=others, keepdims=True)
    return u * peak * sigmoid(bottleneck(z, weights))


def seg_se(u, weights, peak=1, dilation_rate=1, recombines=True):
    """W_c (V · σ(W₁ δ(K V))) with V = W_e U; without recombination, W_c and W_e are left out."""
    v = pointwise(u, weights, "recombine") if recombines else u
    hidden = relu(convolution(v, weights, "neighbourhood", dilation_rate))
    v = v * peak * sigmoid(pointwise(hidden, weights, "expand"))
    return pointwise(v, weights, "contract") if recombines else v


def cbam(u, weights, peak=1):
    """U' = U · σ(MLP(mean) + MLP(max)) over space, then U' · σ(K [mean, max]) over channels."""
    channel, spatial = under("channel", weights), under("spatial", weights)
    axes = spatial_axes(u)
    pooled = u.mean(axis=axes, keepdims=True), u.max(axis=axes, keepdims=True)
    u = u * peak * sigmoid(sum(bottleneck(z, channel) for z in pooled))
    q = np.concatenate([u.mean(axis=-1, keepdims=True), u.max(axis=-1, keepdims=True)], axis=-1)
    return u * peak * sigmoid(convolution(q, spatial, "neighbourhood"))


def bottleneck(z, weights):
    """W₁ δ(W₂ z)."""
    return pointwise(relu(pointwise(z, weights, "reduce")), weights, "expand")


def pointwise(u, weights, name):
    """A 1×1 convolution."""
    return u @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0.0)


def convolution(u, weights, name, dilation_rate=1):
    """A zero-padded convolution of odd size: the sum of the shifted maps, each times the kernel at its place."""
    kernel = weights[f"{name}/kernel"]
    margins = [dilation_rate * (size - 1) // 2 for size in kernel.shape[:-2]]
    padded = np.pad(u, [(0, 0), *((margin, margin) for margin in margins), (0, 0)])
    total = weights.get(f"{name}/bias", 0.0)
    for place in np.ndindex(kernel.shape[:-2]):
        starts = [dilation_rate * offset for offset in place]
        window = tuple(slice(start, start + size) for start, size in zip(starts, u.shape[1:-1], strict=True))
        total = total + padded[(slice(None), *window)] @ kernel[place]
    return total


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def spatial_axes(u):
    return tuple(range(1, u.ndim - 1))


def under(name, weights):
    """The weights of the part called `name`."""
    return {path.removeprefix(f"{name}/"): value for path, value in weights.items() if path.startswith(f"{name}/")}
