"""How varied generated scans are: what a recipe's table of synthesis says."""

import dataclasses
from dataclasses import dataclass

from recalib_keras.core.errors import RecordError

PROBABILITIES = (
    "flip",
    "anywhere",
    "within_brain",
    "random_contrast",
    "asymmetry",
    "skull_stripping",
    "partial_skull",
    "constant_background",
    "thick_slices",
    "crop",
)
RANGES = ("mean_range", "deviation_range")
# Along each axis: a cubic B-spline needs four, and the grid that deformations are followed on resolves no more.
FEWEST_NODES, MOST_NODES = 4, 16


@dataclass(frozen=True)
class Synthesis:
    """How far generated scans vary; what is 0 is off. All zeros give a T1 scan of piecewise constant tissues.

    Lengths are in mm, intensities on the prior's scale of 0 to 255, "largest" values are drawn evenly from 0 up.

    Args:
        flip: probability of a left-right mirror image, in which structures change sides.
        rotation: standard deviation of the angle about each axis, in degrees.
        scaling: standard deviation of the logarithm of the scale of each axis.
        shearing: standard deviation of the shear of each axis along each other.
        translation: standard deviation of the shift along each axis.
        elastic: largest standard deviation of a smooth, invertible displacement along each axis.
        elastic_nodes: largest number of nodes of the grid it is drawn on, along each axis; from 4 to 16.
        anywhere: probability that the window lies anywhere on the head rather than around the brain.
        within_brain: probability that the middle of a window around the brain lies anywhere in it rather than in the
            brain's own, for windows that are smaller than the brain.
        random_contrast: probability that means and deviations of the tissues are drawn from `mean_range` and
            `deviation_range` rather than from the prior of T1 scans.
        asymmetry: probability that a random contrast has other means on the left than on the right.
        prior_spread: factor of the deviations of the prior: how far T1 scans differ from one another.
        texture: factor of the tissues' deviations: how far the voxels of a tissue differ.
        texture_scale: largest length over which they differ alike, the deviation of a Gaussian that spreads them.
        mean_range, deviation_range: ends of the ranges for random contrasts.
        partial_volume: 1, 2, 4 or 8, the number of places in each voxel whose tissues make up its intensity, and
            whose structures decide, with the one at its centre, which it is of.
        skull_stripping: probability that all but the brain, to within some mm, is removed.
        partial_skull: probability that about half of the tissues outside the brain look like air.
        constant_background: probability that the air around the head has one value without noise.
        background_value: largest value of what is removed or constant; half of the time it is 0.
        blur: largest standard deviation of a Gaussian blur, drawn for each axis.
        thick_slices: probability that the scan is made in thick slices along one random axis, and interpolated.
        slice_thickness: largest thickness of such slices.
        noise: largest standard deviation of the scanner's noise.
        bias_field: largest standard deviation of the logarithm of a smooth field that multiplies the intensities.
        gamma: standard deviation of the logarithm of the power that intensities are raised to.
        crop: probability, for each side of the window, that the scan ends before it; beyond are zeros or, half of
            the time, the continued edge, and no structures.
        crop_depth: largest depth of such a cut.

    Raises:
        RecordError: if a value is out of its range.

    Example:
    >>> from recalib_keras.synthesis import MILD, VARIED
    >>> MILD.random_contrast, VARIED.random_contrast, MILD.toward(VARIED, 0.5).random_contrast
    (0.0, 0.5, 0.25)

    Reference:
        Billot et al., "SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without retraining",
        Medical Image Analysis 86, 2023: the way from label maps to scans.
    """

    flip: float = 0.0
    rotation: float = 0.0
    scaling: float = 0.0
    shearing: float = 0.0
    translation: float = 0.0
    elastic: float = 0.0
    elastic_nodes: int = 8
    anywhere: float = 0.0
    within_brain: float = 0.0
    random_contrast: float = 0.0
    asymmetry: float = 0.0
    prior_spread: float = 0.0
    texture: float = 0.0
    texture_scale: float = 0.0
    mean_range: tuple[float, float] = (0.0, 255.0)
    deviation_range: tuple[float, float] = (0.0, 35.0)
    partial_volume: int = 1
    skull_stripping: float = 0.0
    partial_skull: float = 0.0
    constant_background: float = 0.0
    background_value: float = 0.0
    blur: float = 0.0
    thick_slices: float = 0.0
    slice_thickness: float = 6.0
    noise: float = 0.0
    bias_field: float = 0.0
    gamma: float = 0.0
    crop: float = 0.0
    crop_depth: float = 30.0

    def __post_init__(self):
        for key in PROBABILITIES:
            if not 0 <= getattr(self, key) <= 1:
                raise RecordError(f"{key} must be from 0 to 1, not {getattr(self, key)}")
        for key in set(vars(self)) - {*PROBABILITIES, *RANGES}:
            if not getattr(self, key) >= 0:
                raise RecordError(f"{key} must be at least 0, not {getattr(self, key)}")
        for key in RANGES:
            low, high = getattr(self, key)
            if not 0 <= low <= high:
                raise RecordError(f"{key} must be two numbers from 0 up, the smaller one first, not {low} and {high}")
        if self.partial_volume not in (1, 2, 4, 8):
            raise RecordError(f"partial_volume must be 1, 2, 4 or 8, not {self.partial_volume}")
        if not FEWEST_NODES <= self.elastic_nodes <= MOST_NODES:
            raise RecordError(f"elastic_nodes must be from {FEWEST_NODES} to {MOST_NODES}, not {self.elastic_nodes}")

    def toward(self, other, share):
        """Returns settings between these and others: a share of 0 gives these, 1 the others.

        A training may so raise the variety step by step. Whole numbers change over half-way.
        """
        return dataclasses.replace(
            self, **{key: _between(vars(self)[key], vars(other)[key], share) for key in vars(self)}
        )


def _between(value, other, share):
    if isinstance(value, tuple):
        return tuple(_between(*pair, share) for pair in zip(value, other))
    if isinstance(value, int):
        return value if share < 0.5 else other
    return (1 - share) * value + share * other


# To start a training with: T1 scans, moderately deformed.
MILD = Synthesis(
    flip=0.5,
    rotation=6.0,
    scaling=0.05,
    shearing=0.01,
    translation=4.0,
    elastic=2.0,
    elastic_nodes=8,
    prior_spread=0.5,
    texture=0.5,
    texture_scale=1.0,
    partial_volume=4,
    skull_stripping=0.5,
    blur=0.8,
    noise=6.0,
    bias_field=0.15,
    gamma=0.1,
)

# What scans of any contrast, resolution and field of view take.
VARIED = Synthesis(
    flip=0.5,
    rotation=12.0,
    scaling=0.1,
    shearing=0.02,
    translation=8.0,
    elastic=4.0,
    elastic_nodes=10,
    anywhere=0.1,
    random_contrast=0.5,
    asymmetry=0.1,
    prior_spread=1.0,
    texture=1.0,
    texture_scale=2.0,
    partial_volume=4,
    skull_stripping=0.3,
    partial_skull=0.2,
    constant_background=0.3,
    background_value=60.0,
    blur=1.5,
    thick_slices=0.3,
    slice_thickness=6.0,
    noise=15.0,
    bias_field=0.4,
    gamma=0.3,
    crop=0.1,
    crop_depth=30.0,
)
