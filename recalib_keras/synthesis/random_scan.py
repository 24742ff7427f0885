"""Scans made from label maps."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from recalib_keras.core.records import from_mapping, to_mapping
from recalib_keras.pipeline import compiled
from recalib_keras.synthesis.acquisition import Scanner, draw_scanner, scan, within
from recalib_keras.synthesis.geometry import Frame, Shape, draw_shape, labels_at, prevailing
from recalib_keras.synthesis.head import whole_slices
from recalib_keras.synthesis.label_table import LabelTable
from recalib_keras.synthesis.masking import Removal, draw_removal, remove
from recalib_keras.synthesis.noise import normal_pair
from recalib_keras.synthesis.normalization import METHODS, normalize
from recalib_keras.synthesis.settings import Synthesis
from recalib_keras.synthesis.tissues import Tissues, draw_tissues, of_labels, paint


class Draw(NamedTuple):
    """The few numbers that decide the scans of a batch, drawn in NumPy: the same on every backend.

    Args:
        shape, tissues, removal, scanner: see the classes of these names; `removal` may be None.
        classes: `(batch, labels)`, the class that each label is segmented as.
        keys: `(batch,)` int32, of the noise; or None.
    """

    shape: Shape
    tissues: Tissues
    removal: Removal | None
    scanner: Scanner
    classes: np.ndarray
    keys: np.ndarray | None


@keras.saving.register_keras_serializable(package="recalib_keras")
class RandomScan(keras.layers.Layer):
    """Makes scans from label maps: heads of random shape, in a random contrast, by a random scanner.

    Few numbers decide a scan; `draw` draws them in NumPy from a seed. What follows from them for each voxel is done by
    the call, on the device, in float32: labels are looked up where the deformed head has them, tissues get their
    intensities and their noise, and the scanner its bias field, resolution, noise, contrast and field of view. The same
    draw makes the same scan on every backend, to within rounding.

    Args:
        table: `LabelTable`, what the label maps' indices stand for.
        window: sizes of the scans in voxels, as many as the label maps have axes.
        settings: `Synthesis`, how far the scans vary.
        spacing: size of the scans' voxels in mm, one number or one for each axis.
        map_spacing: size of the label maps' voxels in mm, likewise.
        classes: for each label of the table the class that it is segmented as; default: its place among
            `table.structures`.
        lateral_axis: the axis from left to right or back, which `flip` turns round; None if there is none.
        normalization: `"zscore"`, `"percentile"` or `"none"`, as in `recalib_keras.volumes.normalize`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        label_maps: `(batch, *sizes)`, index of each voxel's label in the table, any integer type. Beyond its border a
            map is background. At most 2³¹ voxels a batch.
        draw: `Draw`, from `draw`.

    Returns:
        Images `(batch, *window, 1)` float32 and classes `(batch, *window, 1)` of the smallest unsigned integer type:
        of each voxel the class that is at most of its places, see `Synthesis.partial_volume`, and its centre.

    Raises:
        ValueError: if `window` and `spacing` do not fit each other, a flip has no `lateral_axis`, the number of
            `classes` is not that of the labels, `normalization` is unknown, or the label maps have other axes than
            the window.

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
        table,
        window,
        settings,
        spacing=1.0,
        map_spacing=1.0,
        classes=None,
        lateral_axis=0,
        normalization="zscore",
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32", **kwargs}, autocast=False)
        window = tuple(window)
        spacings = [_for_each_axis(window, name, x) for name, x in (("spacing", spacing), ("map_spacing", map_spacing))]
        _check_flip(settings, lateral_axis)
        if normalization not in METHODS:
            raise ValueError(f"normalization must be one of {', '.join(METHODS)}. Received: {normalization!r}")
        self.classes = np.asarray(table.classes() if classes is None else classes)
        if len(self.classes) != len(table.labels):
            raise ValueError(
                f"classes must have one for each of the table's {len(table.labels)} labels. "
                f"Received: {len(self.classes)}"
            )
        self.table = table
        self.settings = settings
        self.frame = Frame(window, *spacings, lateral_axis)
        self.normalization = normalization
        self._compiled = None

    @classmethod
    def for_input(cls, expects, table, settings, map_spacing=1.0, labels=None, merge=None, **kwargs):
        """Returns the layer that makes what a network expects to see, from label maps of the same orientation.

        For a 2-D network it makes scans of the whole head along the axis of its slices.

        Args:
            expects: `recalib_keras.zoo.Input`; without a spacing, scans have that of the label maps.
            table, settings, map_spacing, **kwargs: as for the layer.
            labels: sequence of `recalib_keras.zoo.Label`, the network's classes; default: the table's structures.
            merge: dict from numbers of structures, as text, to the number that they count as; or None.

        Raises:
            RecordError: if a structure of the table is not among the labels.
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
            normalization=expects.normalization,
            **kwargs,
        )

    def draw(self, centres, seed, settings=None):
        """Returns the random numbers for a batch, a `Draw`.

        Args:
            centres: for each example the place in its label map that the window lies around, in voxels.
            seed: whatever `numpy.random.default_rng` takes: an integer, a list of them, or a generator.
            settings: `Synthesis`, if others than those of the layer.
        """
        settings, rng = settings or self.settings, np.random.default_rng(seed)
        _check_flip(settings, self.frame.lateral_axis)
        return _stacked([self._draw_one(settings, centre, rng) for centre in centres])

    def call(self, label_maps, draw):
        window = self.frame.window
        if len(label_maps.shape) != len(window) + 1:
            raise ValueError(
                f"label_maps must have a batch axis and the window's {len(window)}. Received: shape {label_maps.shape}"
            )
        framed = ops.pad(label_maps, [(0, 0)] + [(1, 1)] * len(window), constant_values=self._background)
        centre_in_frame = draw.shape._replace(centres=draw.shape.centres + 1)
        labels, places = labels_at(framed, centre_in_frame, window)
        of_tissues, of_scanner = (None, None) if draw.keys is None else normal_pair(window, draw.keys)
        image = scan(paint(places, draw.tissues, of_tissues), draw.scanner, of_scanner)
        classes = prevailing([of_labels(draw.classes, one) for one in (labels, *places)])
        if draw.removal is not None:
            image, classes = remove(image, classes, labels, draw.removal, self.frame.spacing)
        if draw.scanner.seen is not None:
            image, classes = within(image, draw.scanner.lit), within(classes, draw.scanner.seen)
        return ops.expand_dims(normalize(image, self.normalization), -1), ops.expand_dims(classes, -1)

    def compiled(self):
        """Returns the call as a function of the same two arguments, compiled once where the backend compiles."""
        if self._compiled is None:
            self._compiled = compiled(lambda label_maps, draw: self(label_maps, draw))
        return self._compiled

    def get_config(self):
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
    def from_config(cls, config):
        """Returns the layer that `get_config` describes."""
        records = {"table": LabelTable, "settings": Synthesis}
        return cls(**{**config, **{key: from_mapping(record, config[key], key) for key, record in records.items()}})

    @property
    def _background(self):
        return int(np.flatnonzero(self.table.numbers == 0)[0])

    def _draw_one(self, settings, centre, rng):
        table, frame = self.table, self.frame
        is_flipped = rng.random() < settings.flip
        shape = draw_shape(settings, frame, centre, is_flipped, rng)
        tissues = draw_tissues(settings, table, frame, rng)
        removal = draw_removal(settings, table, rng)
        scanner = draw_scanner(settings, frame, rng)
        key = rng.integers(-(2**31), 2**31) if settings.texture or settings.noise else None
        classes = self.classes.astype(np.min_scalar_type(self.classes.max()))
        if is_flipped:  # what lay on the left shows on the right
            classes = classes[table.mirrors]
            tissues = tissues._replace(
                means=tissues.means[table.mirrors],
                deviations=None if tissues.deviations is None else tissues.deviations[table.mirrors],
            )
        return Draw(shape, tissues, removal, scanner, classes, None if key is None else np.int32(key))


def _stacked(draws):
    """Returns draws of single examples as one of a batch; what is None stays so."""
    first = draws[0]
    if first is None:
        return None
    if isinstance(first, tuple):
        parts = [_stacked(list(parts)) for parts in zip(*draws)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return np.stack(draws)


def _check_flip(settings, lateral_axis):
    if settings.flip and lateral_axis is None:
        raise ValueError("flip needs the axis from left to right as lateral_axis, or must be 0")


def _for_each_axis(window, name, values):
    values = tuple(float(x) for x in (values if np.iterable(values) else [values] * len(window)))
    if len(values) != len(window) or min(values) <= 0:
        raise ValueError(f"{name} must be one number above 0, or {len(window)}, one for each axis. Received: {values}")
    return values
