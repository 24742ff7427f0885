"""The scans of an evaluation: where their predictions, truths and images come from, and the loop over them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recalib_keras import volumes
from recalib_keras.evaluation.measures import Measures, measure_all
from recalib_keras.evaluation.report import Report, Row
from recalib_keras.evaluation.structures import unnamed_structures
from recalib_keras.volumes import Volume, VolumeError
from recalib_keras.volumes.names import LABEL_SUFFIXES, stem

PREDICTION_ENDING = "_labels"  # what `recalib segment` adds to the name of a scan
CHANNEL_ENDING = "_0000"  # what nnU-Net adds to that of an image


@dataclass(frozen=True)
class Case:
    """One scan to evaluate; nothing is read before it is needed.

    Args:
        name: of the scan, in reports and figures.
        read_maps: function that returns prediction and truth, two `recalib_keras.volumes.Volume`.
        read_image: function that returns the scan itself as such a volume, or None if there is none.
    """

    name: str
    read_maps: Callable[[], tuple[Volume, Volume]]
    read_image: Callable[[], Volume] | None = None


def find_cases(predictions, truths, images=None, on_unmatched=None):
    """Returns a `Case` for each prediction, by name.

    A truth without a prediction is no case: what is averaged over the cases then leaves out scans, maybe the hardest.

    Args:
        predictions: path of a label map, or of a folder of them.
        truths: the same; each prediction needs a truth of its name. `_labels` at the end of a name does not count.
        images: path of a scan, or of a folder of them, or None. `_0000` at the end of a name does not count.
        on_unmatched: function called with the sorted names of the truths that have no prediction, if there are any; or
            None.

    Raises:
        ValueError: if one is a folder and the other is not, there is no prediction, a prediction has no truth or no
            image (all are named), or two files have one name.
    """
    predictions, truths, images = (path if path is None else Path(path) for path in (predictions, truths, images))
    for path in (truths, images):
        if path is not None and path.is_dir() != predictions.is_dir():
            raise ValueError(f"expected two files or two folders, got {predictions} and {path}")
    if not predictions.is_dir():
        return [_case(_name(predictions), predictions, truths, images)]
    found = _by_name(predictions, LABEL_SUFFIXES)
    if not found:
        raise ValueError(f"expected label maps ({', '.join(LABEL_SUFFIXES)}) in {predictions}; there are none")
    of_truth = _partners(found, truths, "label map", LABEL_SUFFIXES)
    unmatched = sorted(of_truth.keys() - found.keys())
    if unmatched and on_unmatched is not None:
        on_unmatched(unmatched)
    of_image = {} if images is None else _partners(found, images, "scan", LABEL_SUFFIXES)
    return [_case(name, path, of_truth[name], of_image.get(name)) for name, path in sorted(found.items())]


def evaluate(cases, structures=None, on_failure=None):
    """Returns the `Report` of some scans.

    Args:
        cases: iterable of `Case`.
        structures: sequence of things with an `id` and a `name`, such as `recalib_keras.evaluation.Structure`, to be
            measured in every scan; or None for all but 0 that stand in any of the label maps.
        on_failure: function called with a case and the error of a scan that cannot be evaluated, after which the
            others are gone on with; or None to raise the first.

    Raises:
        VolumeError: a label map cannot be read, or prediction and truth do not stand on one grid.
        OSError: a file cannot be read.
    """
    found = {}
    for case in cases:
        try:
            found[case.name] = _measure_case(case, structures)
        except (VolumeError, OSError) as error:
            if on_failure is None:
                raise
            on_failure(case, error)
    structures = structures or unnamed_structures(sorted({label for measures in found.values() for label in measures}))
    return Report(
        tuple(
            Row(scan, structure.name, structure.id, measures.get(structure.id, Measures()))
            for scan, measures in found.items()
            for structure in structures
        )
    )


def _measure_case(case, structures):
    prediction, truth = case.read_maps()
    prediction = check_grids(prediction, truth)
    labels = None if structures is None else [structure.id for structure in structures]
    return measure_all(prediction.array, truth.array, truth.grid, labels)


def check_grids(prediction, truth):
    """Returns a prediction on the grid of its ground truth; only axes may differ, see `Volume.aligned`.

    Raises:
        VolumeError: Their voxels differ by more than rounding.
    """
    return prediction.aligned(truth.grid, str(truth.source or "the ground truth"))


def _case(name, prediction, truth, image):
    return Case(
        name,
        lambda: (volumes.read_labels(prediction), volumes.read_labels(truth)),
        None if image is None else lambda: volumes.read(image),
    )


def _partners(found, folder, kind, suffixes):
    partners = _by_name(folder, suffixes)
    missing = sorted(found.keys() - partners.keys())
    if missing:
        raise ValueError(f"expected a {kind} in {folder} for each prediction; missing: {', '.join(missing)}")
    return partners


def _by_name(folder, suffixes):
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(suffixes) and not path.name.startswith("."):
            name = _name(path)
            if name in found:
                raise ValueError(f"expected one file a scan, found {found[name]} and {path}; move one away")
            found[name] = path
    return found


def _name(path):
    return stem(path).removesuffix(PREDICTION_ENDING).removesuffix(CHANNEL_ENDING)
