"""Distances between the surfaces of two structures."""

import numpy as np
from scipy import ndimage

PERCENTILE = 95


def surface(mask: np.ndarray) -> np.ndarray:
    """Returns the surface voxels of a structure, as a mask.

    A voxel is on the surface if a neighbour across one of its faces (6 in 3-D, 4 in 2-D) is not in the structure.
    Beyond the border of the array is outside.

    Args:
        mask: Boolean array of any rank.

    Example:
        >>> surface(np.ones((3, 3), bool)).astype(int).tolist()
        [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    return mask & ~ndimage.binary_erosion(mask)


def surface_distances(prediction: np.ndarray, truth: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distance (mm) from each surface voxel of one structure to the nearest surface voxel of the other.

    Distances are Euclidean, between the centres of voxels. A k-d tree of the surface voxels gives them. For the thin
    surfaces of large structures this is several times faster than a distance map of the whole box. It is exact for
    sheared grids too (a CT with a tilted gantry).

    Args:
        prediction: Boolean array, not empty.
        truth: Boolean array of the same shape, not empty.
        axes: Array `(dimensions, rank)`, whose columns are the steps (mm) along the axes of the masks.

    Returns:
        Two float arrays: from the prediction's surface to that of the ground truth, and back.
    """
    from scipy.spatial import KDTree  # here, because segmenting does not need it and it takes long to load

    points = [np.argwhere(surface(mask)) @ np.transpose(axes) for mask in (prediction, truth)]
    # Voxels on a grid need no balanced tree, which takes longer to build.
    trees = [KDTree(places, balanced_tree=False, compact_nodes=False) for places in points]
    return trees[1].query(points[0])[0], trees[0].query(points[1])[0]


def robust_hausdorff_distance(from_prediction: np.ndarray, from_truth: np.ndarray) -> float:
    """Returns HD95 (mm), the larger of the two directed 95th percentiles.

    `max(P₉₅ min_t |p - t|, P₉₅ min_p |t - p|)` over the surface voxels `p` of the prediction and `t` of the ground
    truth, with linear interpolation between ranks. This is the partial Hausdorff distance of Huttenlocher et al., and
    the definition of MONAI. Some programs take one percentile of both directions pooled instead, which is never larger.

    Args:
        from_prediction: First array that `surface_distances` returns.
        from_truth: Second array that `surface_distances` returns.

    Example:
        >>> robust_hausdorff_distance(np.zeros(21), np.arange(21.0))
        19.0

    References:
        Huttenlocher et al., "Comparing images using the Hausdorff distance", IEEE TPAMI 1993; Taha & Hanbury, "Metrics
        for evaluating 3D medical image segmentation: analysis, selection, and tool", BMC Medical Imaging 2015.
    """
    return float(max(np.percentile(from_prediction, PERCENTILE), np.percentile(from_truth, PERCENTILE)))


def average_surface_distance(from_prediction: np.ndarray, from_truth: np.ndarray) -> float:
    """Returns ASSD (mm), the mean over the surface voxels of both structures, pooled.

    `(Σ_p min_t |p - t| + Σ_t min_p |t - p|) / (|S_P| + |S_T|)`.

    Args:
        from_prediction: First array that `surface_distances` returns.
        from_truth: Second array that `surface_distances` returns.

    Example:
        >>> average_surface_distance(np.array([1.0]), np.array([0.0, 2.0, 3.0]))
        1.5

    Reference:
        Heimann et al., "Comparison and evaluation of methods for liver segmentation from CT datasets", IEEE TMI 2009.
    """
    return float(np.concatenate([from_prediction, from_truth]).mean())
