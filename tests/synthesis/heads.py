"""A tiny head that is generated fast, and the same scans computed with NumPy and SciPy."""

import numpy as np
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from recalib_keras.synthesis import GenerationLabel, IntensityPrior, LabelTable

# Index of each label in the table below.
AIR, LEFT, RIGHT, STEM, SKIN, BONE = range(6)

PRIOR = IntensityPrior(
    mean_mu=(7.0, 150.0, 90.0, 120.0, 40.0),
    mean_sigma=(1.0, 15.0, 10.0, 12.0, 4.0),
    std_mu=(4.0, 12.0, 10.0, 20.0, 9.0),
    std_sigma=(1.0, 3.0, 2.0, 5.0, 2.0),
)
TABLE = LabelTable(
    labels=(
        GenerationLabel(0, 0, "background", 0, 0),
        GenerationLabel(2, 2, "left cerebral white matter", 1, 1),
        GenerationLabel(41, 41, "right cerebral white matter", 2, 1),
        GenerationLabel(16, 16, "brain-stem", 3, 2),
        GenerationLabel(507, 0, "background", 4, 3),
        GenerationLabel(515, 0, "background", 5, 4),
    ),
    t1_prior=PRIOR,
)


# The first tables of a recipe for these heads; those of its data and training follow.
RECIPE_OF_HEADS = """
preset = "tiny_head"
weights = "heads"
title = "halves of a phantom's brain"
seed = 3
labels = [
    { id = 0, name = "background" },
    { id = 2, name = "left cerebral white matter", mirror = 41 },
    { id = 16, name = "brain-stem" },
    { id = 41, name = "right cerebral white matter", mirror = 2 },
]
[network]
architecture = "UNet"
arguments = { levels = 1, filters = 8, normalization = "instance" }
[input]
window = [16, 16, 16]
spacing = [1.0, 1.0, 1.0]
normalization = "percentile"
"""


def head(size=24):
    """Returns the label map of a ball of a head in voxels of a cube: skin, bone, two halves of a brain and its stem."""
    x, y, z = np.indices((size,) * 3) - (size - 1) / 2
    radius = np.sqrt(x**2 + (y * 0.9) ** 2 + z**2) / size
    result = np.zeros((size,) * 3, "uint8")
    result[radius < 0.46] = SKIN
    result[radius < 0.4] = BONE
    result[(radius < 0.34) & (x < 0)] = LEFT
    result[(radius < 0.34) & (x > 0)] = RIGHT
    result[(np.abs(x) < size / 12) & (np.abs(y) < size / 12) & (z < 0) & (radius < 0.34)] = STEM
    return result


def scan_by_numpy(random_scan, label_map, draw):
    """Returns image and classes that `random_scan`, without normalisation, should make of the first example."""
    draw = _first(draw)
    window, spacing = random_scan.frame.window, random_scan.frame.spacing
    centres = _places(draw.geometry, window)
    labels = _labels(label_map, centres)
    first, second = noise_by_numpy(window, draw.keys) if draw.keys is not None else (None, None)
    image = _paint(label_map, centres, draw.geometry.places, draw.tissues, first)
    image = _acquire(image, draw.acquisition, second)
    votes = draw.classes[np.stack([labels, *(_labels(label_map, centres + x) for x in draw.geometry.places)])]
    winners = (votes[:, None] == votes).sum(axis=1).argmax(axis=0)
    classes = np.take_along_axis(votes, winners[None], axis=0)[0]
    if draw.mask is not None:
        kept = draw.mask.kept[labels]
        for axis, step in enumerate(spacing):
            kept = ndimage.gaussian_filter1d(kept, 4.0 / step, axis=axis, mode="nearest")
        image = np.where(kept >= draw.mask.shares, image, draw.mask.fills)
    if draw.acquisition.in_view is not None:
        image = image * _outer(draw.acquisition.has_signal)
        classes = classes * _outer(draw.acquisition.in_view)
    return image, classes


def noise_by_numpy(window, key):
    """Returns two fields of normal noise, by unsigned arithmetic and the formula of Box and Muller."""
    bits = np.arange(np.prod(window), dtype="uint32") + np.uint32(int(key) % 2**32)
    bits ^= bits >> 16
    bits *= np.uint32(0x7FEB352D)
    bits ^= bits >> 15
    bits *= np.uint32(0x846CA68B)
    bits ^= bits >> 16
    turn, share = (bits % 2**16) / 2**16, ((bits >> 16) + 0.5) / 2**16
    radius = np.sqrt(-2 * np.log(share))
    return (radius * np.cos(2 * np.pi * turn)).reshape(window), (radius * np.sin(2 * np.pi * turn)).reshape(window)


def _first(draw):
    if draw is None:
        return None
    if isinstance(draw, tuple):
        parts = [_first(part) for part in draw]
        return type(draw)(*parts) if hasattr(draw, "_fields") else tuple(parts)
    return draw[0]


def _places(geometry, window):
    voxels = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij"), axis=-1).astype("float64")
    places = (voxels - (np.array(window) - 1) / 2) @ geometry.matrices.T.astype("float64") + geometry.centres
    if geometry.nodes is not None:
        axes = [np.linspace(0, size - 1, count) for size, count in zip(window, geometry.nodes.shape[1:])]
        for axis, nodes in enumerate(geometry.nodes):
            places[..., axis] += RegularGridInterpolator(axes, nodes.astype("float64"), method="cubic")(voxels)
    return places


def _labels(label_map, places):
    return ndimage.map_coordinates(label_map, np.moveaxis(places, -1, 0), order=0, mode="grid-constant", cval=0)


def _paint(label_map, centres, offsets, tissues, noise):
    samples = [_labels(label_map, centres + offset) for offset in offsets]
    image = np.mean([tissues.means[labels] for labels in samples], axis=0)
    if tissues.deviations is None:
        return image
    if tissues.blurs is not None:
        noise = np.einsum("xyz,xi,yj,zk->ijk", noise, *tissues.blurs, optimize=True)
    deviation = np.mean([tissues.deviations[labels] for labels in samples], axis=0)
    return np.maximum(image + deviation * noise, 0)


def _acquire(image, acquisition, noise):
    if acquisition.bias is not None:
        # Natural cubic B-splines by convolution: each node's basis at the voxels, from the formula of its four pieces.
        basis = [_b_splines(len(acquisition.bias), size) for size in image.shape]
        image = image * np.exp(np.einsum("abc,ax,by,cz->xyz", acquisition.bias, *basis, optimize=True))
    if acquisition.to_slices is not None:
        image = np.einsum("xyz,xi,yj,zk->ijk", image, *acquisition.to_slices, optimize=True)
    if acquisition.noise is not None:
        image = np.abs(image + acquisition.noise * noise)
    if acquisition.to_voxels is not None:
        image = np.einsum("xyz,xi,yj,zk->ijk", image, *acquisition.to_voxels, optimize=True)
    if acquisition.gammas is not None:
        image = 255 * (image / 255) ** acquisition.gammas
    return image


def _b_splines(nodes, size):
    """Returns the cubic B-spline of each of `nodes` nodes at `size` places between the second and the last but one."""
    places = np.linspace(1, nodes - 2, size)
    distance = np.abs(places - np.arange(nodes)[:, None])
    inner, outer = 2 / 3 - distance**2 + distance**3 / 2, (2 - distance) ** 3 / 6
    return np.where(distance < 1, inner, np.where(distance < 2, outer, 0))


def _outer(lines):
    return np.einsum("x,y,z->xyz", *lines)
