"""The layer that generates scans from label maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from keras import ops

from recalib_keras.core.records import from_mapping, to_mapping
from recalib_keras.pipeline import compiled
from recalib_keras.synthesis.acquisition import Acquisition, acquire, draw_acquisition, zero_outside
from recalib_keras.synthesis.geometry import Frame, Geometry, draw_geometry, labels_at, majority, whole_slices
from recalib_keras.synthesis.label_table import LabelTable
from recalib_keras.synthesis.masking import Mask, apply_mask, draw_mask
from recalib_keras.synthesis.normalization import normalize
from recalib_keras.synthesis.settings import METHODS, Synthesis
from recalib_keras.synthesis.tissues import Tissues, draw_tissues, paint
from recalib_keras.transforms import Tensor
from recalib_keras.transforms.lookup import of_labels
from recalib_keras.transforms.noise import normal_pair

if TYPE_CHECKING:
    from recalib_keras.zoo import Input, Label


class Draw(NamedTuple):
    """The few random numbers that determine the scans of a batch, drawn in NumPy: the same on every backend.

    Attributes:
        geometry: Deformation and placement.
        tissues: Intensities of the labels.
        mask: What is kept; or None.
        acquisition: What the scanner does.
        classes: `(batch, labels)`, the class that each label is segmented as.
        keys: `(batch,)` int32, of the noise; or None.
    """

    geometry: Geometry
    tissues: Tissues
    mask: Mask | None
    acquisition: Acquisition
    classes: np.ndarray
    keys: np.ndarray | None


@keras.saving.register_keras_serializable(package="recalib_keras")
class RandomScan(keras.layers.Layer):
    """Generates scans from label maps: heads of random shape, in a random contrast, from a random scanner.

    A few random numbers determine a scan; `draw` draws them in NumPy from a seed. The call computes every voxel from
    them on the device, in float32: it looks up labels in the deformed head, gives tissues their intensities and
    texture, and applies the scanner's bias field, resolution, noise, gamma and field of view. The same draw gives the
    same scan on every backend, to within rounding.

    The call takes label maps `(batch, *sizes)`, integer, the index of each voxel's label in the table, at most 2³¹
    voxels a batch; and a `Draw`. Beyond its border a map is background. The call returns images `(batch, *window, 1)`
    float32 and classes `(batch, *window, 1)` of the smallest unsigned integer type: for each voxel the most frequent
    class at its centre and at the places in it, see `Synthesis.partial_volume`.

    Args:
        table: What the label maps' indices mean.
        window: Sizes of the scans in voxels, as many as the label maps have axes.
        settings: How far the scans vary.
        spacing: Voxel size of the scans in mm, one number or one for each axis.
        map_spacing: Voxel size of the label maps in mm, likewise.
        classes: For each label of the table the class that it is segmented as; default: its index among
            `table.structures`.
        lateral_axis: The axis from left to right or back, which `flip` mirrors; None if there is none.
        normalization: `"zscore"`, `"percentile"` or `"none"`, as in `recalib_keras.volumes.normalize`.
        **kwargs: Of `keras.layers.Layer`.

    Raises:
        ValueError: If `window` and a spacing do not match, a flip has no `lateral_axis`, `classes` and labels differ
            in number, `normalization` is unknown, or the label maps have other axes than the window.

    Example:
        >>> import numpy as np
        >>> from recalib_keras.synthesis import MILD, GenerationLabel, IntensityPrior, LabelTable, RandomScan
        >>> labels = (GenerationLabel(0, 0, "background", 0, 0), GenerationLabel(16, 16, "brain-stem", 1, 1))
        >>> prior = IntensityPrior(mean_mu=(7, 116), mean_sigma=(2, 15), std_mu=(5, 19), std_sigma=(3, 7))
        >>> random_scan = RandomScan(LabelTable(labels, prior), (16, 16, 16), MILD)
        >>> label_maps = np.zeros((2, 24, 24, 24), "uint8")
        >>> label_maps[:, 6:18, 6:18, 6:18] = 1
        >>> images, classes = random_scan(label_maps, random_scan.draw([(12, 12, 12)] * 2, seed=1))
        >>> tuple(images.shape), tuple(classes.shape)
        ((2, 16, 16, 16, 1), (2, 16, 16, 16, 1))

    Reference:
        Billot et al., "SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without retraining",
        Medical Image Analysis 86, 2023.
    """

    def __init__(
        self,
        table: LabelTable,
        window: Sequence[int],
        settings: Synthesis,
        spacing: float | Sequence[float] = 1.0,
        map_spacing: float | Sequence[float] = 1.0,
        classes: Sequence[int] | np.ndarray | None = None,
        lateral_axis: int | None = 0,
        normalization: str = "zscore",
        **kwargs: Any,
    ):
        super().__init__(**{"dtype": "float32", **kwargs}, autocast=False)
        window = tuple(window)
        scan_spacing = _for_each_axis(window, "spacing", spacing)
        spacing_of_map = _for_each_axis(window, "map_spacing", map_spacing)
        _check_flip(settings, lateral_axis)
        if normalization not in METHODS:
            raise ValueError(f"expected `normalization` to be one of {', '.join(METHODS)}, got {normalization!r}")
        self.classes = np.asarray(table.classes() if classes is None else classes)
        if len(self.classes) != len(table.labels):
            raise ValueError(
                f"expected `classes` to have one class for each of the table's {len(table.labels)} labels, got "
                f"{len(self.classes)}"
            )
        self.table = table
        self.settings = settings
        self.frame = Frame(window, scan_spacing, spacing_of_map, lateral_axis)
        self.normalization = normalization
        self._compiled: Callable[[Tensor, Draw], tuple[Tensor, Tensor]] | None = None

    @classmethod
    def for_input(
        cls,
        expects: Input,
        table: LabelTable,
        settings: Synthesis,
        map_spacing: float | Sequence[float] = 1.0,
        labels: Sequence[Label] | None = None,
        merge: Mapping[str, int] | None = None,
        **kwargs: Any,
    ) -> RandomScan:
        """Returns the layer that generates what a network expects, from label maps of the same orientation.

        For a 2-D network it generates scans of the whole head along the axis of its slices.

        Args:
            expects: The network's input; without a spacing, scans have the spacing of the label maps.
            table: See `RandomScan`.
            settings: See `RandomScan`.
            map_spacing: See `RandomScan`.
            labels: The network's classes; default: the table's structures.
            merge: From numbers of structures, as text, to the number that they count as; or None.
            **kwargs: Of `RandomScan`.

        Raises:
            RecordError: If a structure of the table is not among the labels.
        """
        spacing = expects.spacing or map_spacing
        return cls(
            table,
            whole_slices(expects.window, expects.orientation, spacing),
            settings,
            spacing=spacing,
            map_spacing=map_spacing,
            classes=table.classes(labels, merge),
            lateral_axis=expects.lateral_axis,
            normalization=expects.normalizations[0],
            **kwargs,
        )

    def draw(
        self,
        centres: Sequence[Sequence[float]],
        seed: int | Sequence[int] | np.random.Generator,
        settings: Synthesis | None = None,
    ) -> Draw:
        """Returns the random numbers for a batch.

        Args:
            centres: For each example the place in its label map that the window lies around, in voxels.
            seed: Anything that `numpy.random.default_rng` accepts: an integer, a list of integers, or a generator.
            settings: Other settings than those of the layer, or None.

        Raises:
            ValueError: If the settings flip, but the layer has no `lateral_axis`.
        """
        settings, rng = settings or self.settings, np.random.default_rng(seed)
        _check_flip(settings, self.frame.lateral_axis)
        return _stacked([self._draw_one(settings, centre, rng) for centre in centres])

    def call(self, label_maps: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Returns images and classes; see the class."""
        window = self.frame.window
        if len(label_maps.shape) != len(window) + 1:
            raise ValueError(
                f"expected `label_maps` with a batch axis and the window's {len(window)} axes, got shape "
                f"{tuple(label_maps.shape)}"
            )
        framed = ops.pad(label_maps, [(0, 0)] + [(1, 1)] * len(window), constant_values=self.table.background)
        in_frame = draw.geometry._replace(centres=draw.geometry.centres + 1)
        labels, places = labels_at(framed, in_frame, window)
        of_tissues, of_scanner = (None, None) if draw.keys is None else normal_pair(window, draw.keys)
        image = acquire(paint(places, draw.tissues, of_tissues), draw.acquisition, of_scanner)
        classes = majority([of_labels(draw.classes, one) for one in (labels, *places)])
        if draw.mask is not None:
            image, classes = apply_mask(image, classes, labels, draw.mask, self.frame.spacing)
        has_signal, in_view = draw.acquisition.has_signal, draw.acquisition.in_view
        if has_signal is not None and in_view is not None:
            image, classes = zero_outside(image, has_signal), zero_outside(classes, in_view)
        return ops.expand_dims(normalize(image, self.normalization), -1), ops.expand_dims(classes, -1)

    def compiled(self) -> Callable[[Tensor, Draw], tuple[Tensor, Tensor]]:
        """Returns the call as a function of the same two arguments, compiled once if the backend compiles."""
        if self._compiled is None:
            self._compiled = compiled(lambda label_maps, draw: self(label_maps, draw))
        return self._compiled

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        window, spacing, map_spacing, lateral_axis = self.frame
        return {
            **super().get_config(),
            "table": to_mapping(self.table),
            "settings": to_mapping(self.settings),
            "window": window,
            "spacing": spacing,
            "map_spacing": map_spacing,
            "lateral_axis": lateral_axis,
            "classes": self.classes.tolist(),
            "normalization": self.normalization,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RandomScan:
        """Returns the layer that `get_config` describes."""
        records = {"table": LabelTable, "settings": Synthesis}
        return cls(**{**config, **{key: from_mapping(record, config[key], key) for key, record in records.items()}})

    def _draw_one(self, settings, centre, rng):
        table, frame = self.table, self.frame
        is_flipped = rng.random() < settings.flip
        geometry = draw_geometry(settings, frame, centre, is_flipped, rng)
        tissues = draw_tissues(settings, table, frame, rng)
        mask = draw_mask(settings, table, rng)
        acquisition = draw_acquisition(settings, frame, rng)
        key = rng.integers(-(2**31), 2**31) if settings.texture or settings.noise else None
        classes = self.classes.astype(np.min_scalar_type(self.classes.max()))
        if is_flipped:  # what lay on the left shows on the right
            classes = classes[table.mirrors]
            tissues = tissues._replace(
                means=tissues.means[table.mirrors],
                deviations=None if tissues.deviations is None else tissues.deviations[table.mirrors],
            )
        return Draw(geometry, tissues, mask, acquisition, classes, None if key is None else np.int32(key))


def _stacked(draws):
    """Returns draws of single examples as one of a batch; None stays None."""
    first = draws[0]
    if first is None:
        return None
    if isinstance(first, tuple):
        parts = [_stacked(list(parts)) for parts in zip(*draws)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return np.stack(draws)


def _check_flip(settings, lateral_axis):
    if settings.flip and lateral_axis is None:
        raise ValueError(
            f"expected `flip` to be 0 without an axis from left to right, got {settings.flip}; give `lateral_axis`"
        )


def _for_each_axis(window, name, values):
    values = tuple(float(x) for x in (values if np.iterable(values) else [values] * len(window)))
    if len(values) != len(window) or min(values) <= 0:
        raise ValueError(
            f"expected `{name}` to be one number above 0, or {len(window)}, one for each axis, got {values}"
        )
    return values
