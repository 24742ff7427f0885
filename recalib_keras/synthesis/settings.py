"""Settings: how varied generated scans are, as in a recipe's table `[synthesis]`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from recalib_keras.core.checks import Range, check_ranges
from recalib_keras.core.errors import RecordError

RANGES = ("mean_range", "deviation_range")
PLACES_IN_VOXEL = (1, 2, 4, 8)
METHODS = ("zscore", "percentile", "none")  # of normalisation
# Along each axis: a cubic B-spline needs four, and the grid that deformations are integrated on resolves no more.
FEWEST_NODES, MOST_NODES = 4, 16
SHARE = Range(0, 1)


@dataclass(frozen=True)
class Synthesis:
    """How far generated scans vary; 0 turns a change off. All zeros give a T1 scan of piecewise constant tissues.

    Lengths are in mm, intensities on the prior's scale of 0 to 255. "Largest" values are drawn uniformly from 0 up.

    Args:
        flip: Probability of a left-right mirror image, in which structures change sides.
        rotation: Standard deviation of the angle about each axis, in degrees.
        scaling: Standard deviation of the logarithm of the scale of each axis.
        shearing: Standard deviation of the shear of each axis along each other.
        translation: Standard deviation of the shift along each axis.
        elastic: Largest standard deviation of a smooth, invertible displacement along each axis.
        elastic_nodes: Largest number of nodes of the grid it is drawn on, along each axis.
        anywhere: Probability that the window lies anywhere on the head instead of around the brain.
        within_brain: Probability that the centre of a window around the brain lies anywhere in the brain instead of in
            its centre, for windows that are smaller than the brain.
        random_contrast: Probability that means and deviations of the tissues are drawn from `mean_range` and
            `deviation_range` instead of from the prior of T1 scans.
        asymmetry: Probability that a random contrast has other means on the left than on the right.
        prior_spread: Factor of the deviations of the prior: how far T1 scans differ from one another.
        texture: Factor of the tissues' deviations: how far the voxels of a tissue differ.
        texture_scale: Largest size of the texture's grain: the deviation of a Gaussian that blurs it.
        mean_range: Lowest and highest mean for random contrasts.
        deviation_range: Lowest and highest deviation for random contrasts.
        partial_volume: 1, 2, 4 or 8, the number of places in each voxel that give its intensity, the mean of their
            tissues, and its class, the most frequent among them and the voxel's centre.
        skull_stripping: Probability that everything but the brain, to within a few mm, is removed.
        partial_skull: Probability that about half of the tissues outside the brain look like air.
        constant_background: Probability that the air around the head has one value without noise.
        background_value: Largest value of removed or constant voxels; half of the time it is 0.
        blur: Largest standard deviation of a Gaussian blur, drawn for each axis.
        thick_slices: Probability that the scan is made in thick slices along one random axis, and interpolated.
        slice_thickness: Largest thickness of such slices.
        noise: Largest standard deviation of the scanner's noise.
        bias_field: Largest standard deviation of the logarithm of a smooth field that multiplies the intensities.
        gamma: Standard deviation of the logarithm of the power that intensities are raised to.
        crop: Probability, for each side of the window, that the scan ends before it. Beyond are no structures, and
            zeros or, half of the time, the continued edge.
        crop_depth: Largest depth of such a cut.

    Raises:
        RecordError: If a value is out of its range.

    Example:
        >>> from recalib_keras.synthesis import MILD, VARIED
        >>> MILD.random_contrast, VARIED.random_contrast, MILD.toward(VARIED, 0.5).random_contrast
        (0.0, 0.5, 0.25)

    Reference:
        Billot et al., "SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without retraining",
        Medical Image Analysis 86, 2023: the way from label maps to scans.
    """

    flip: Annotated[float, SHARE] = 0.0
    rotation: Annotated[float, Range(0, 180)] = 0.0
    scaling: Annotated[float, Range(0, 2)] = 0.0
    shearing: Annotated[float, Range(0, 2)] = 0.0
    translation: Annotated[float, Range(0, 1000)] = 0.0
    elastic: Annotated[float, Range(0, 100)] = 0.0
    elastic_nodes: Annotated[int, Range(FEWEST_NODES, MOST_NODES)] = 8
    anywhere: Annotated[float, SHARE] = 0.0
    within_brain: Annotated[float, SHARE] = 0.0
    random_contrast: Annotated[float, SHARE] = 0.0
    asymmetry: Annotated[float, SHARE] = 0.0
    prior_spread: Annotated[float, Range(0, 100)] = 0.0
    texture: Annotated[float, Range(0, 100)] = 0.0
    texture_scale: Annotated[float, Range(0, 100)] = 0.0
    mean_range: Annotated[tuple[float, float], Range(0, 10_000)] = (0.0, 255.0)
    deviation_range: Annotated[tuple[float, float], Range(0, 10_000)] = (0.0, 35.0)
    partial_volume: int = 1
    skull_stripping: Annotated[float, SHARE] = 0.0
    partial_skull: Annotated[float, SHARE] = 0.0
    constant_background: Annotated[float, SHARE] = 0.0
    background_value: Annotated[float, Range(0, 10_000)] = 0.0
    blur: Annotated[float, Range(0, 100)] = 0.0
    thick_slices: Annotated[float, SHARE] = 0.0
    slice_thickness: Annotated[float, Range(0, 100)] = 6.0
    noise: Annotated[float, Range(0, 10_000)] = 0.0
    bias_field: Annotated[float, Range(0, 5)] = 0.0
    gamma: Annotated[float, Range(0, 5)] = 0.0
    crop: Annotated[float, SHARE] = 0.0
    crop_depth: Annotated[float, Range(0, 1000)] = 30.0

    def __post_init__(self):
        check_ranges(self)
        for key in RANGES:
            low, high = getattr(self, key)
            self._check(key, low <= high, "to be two numbers, the smaller one first")
        self._check("partial_volume", self.partial_volume in PLACES_IN_VOXEL, "to be 1, 2, 4 or 8")

    def _check(self, key, is_right, expected):
        if not is_right:
            raise RecordError(expected=f"`{key}` {expected}", received=str(getattr(self, key)))

    def toward(self, other: Synthesis, share: float) -> Synthesis:
        """Returns settings between these and others, such as for a training whose variety grows step by step.

        Args:
            other: The other settings.
            share: From 0, which gives these, to 1, which gives the others. Whole numbers change at 0.5.
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
"""For the start of a training: T1 scans, moderately deformed."""

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
"""For scans of any contrast, resolution and field of view."""
