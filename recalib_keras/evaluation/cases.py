"""The scans of an evaluation: where their predictions, ground truths and images are, and the loop over them."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recalib_keras import volumes
from recalib_keras.core.messages import listed
from recalib_keras.evaluation.measures import Measures, measure_all
from recalib_keras.evaluation.report import Report, Row
from recalib_keras.evaluation.structures import StructureLike, numbers_of, unnamed_structures
from recalib_keras.volumes import Channels, Volume, VolumeError
from recalib_keras.volumes.names import LABEL_SUFFIXES, LABELS_ENDING, channel_ending, stem


@dataclass(frozen=True)
class Case:
    """One scan to evaluate. Nothing is read before it is needed.

    Args:
        name: Name of the scan in reports and figures.
        read_maps: Function that returns prediction and ground truth, two `recalib_keras.volumes.Volume`.
        read_image: Function that returns the scan itself as a `Volume`, its first channel if it has several; None if
            the scan is not available.
        known: Numbers of the structures that the ground truth can have; a report has no row for the others. None for
            all.
        read_scan: Function that returns the scan with all of its channels; None if it has one.
    """

    name: str
    read_maps: Callable[[], tuple[Volume, Volume]]
    read_image: Callable[[], Volume] | None = None
    known: Collection[int] | None = None
    read_scan: Callable[[], Channels] | None = None


def find_cases(
    predictions: str | os.PathLike,
    truths: str | os.PathLike,
    images: str | os.PathLike | None = None,
    on_unmatched: Callable[[list[str]], object] | None = None,
    ignore: int | None = None,
) -> list[Case]:
    """Returns a `Case` for each prediction, by name.

    A ground truth without a prediction is not a case. All means then leave out its scan, which may be a hard one.

    Args:
        predictions: Label map, or folder of label maps.
        truths: Ground truth: label map, or folder with a label map of the same name for each prediction. An ending
            `_labels` of a name is ignored.
        images: Scan, or folder of scans; None if they are not available. An ending `_0000` of a name is ignored.
        on_unmatched: Called with the sorted names of the ground-truth files that have no prediction, if there are any.
        ignore: Number in the ground truth of voxels that nobody looked at, which do not count; None if it has none.

    Raises:
        ValueError: If one is a folder and another is not, there is no prediction, a prediction has no ground truth or
            no image (the message lists the first ten), or two files have the same name.
    """
    first, second, third = Path(predictions), Path(truths), None if images is None else Path(images)
    for path in (second, third):
        if path is not None and path.is_dir() != first.is_dir():
            raise ValueError(f"expected two files or two folders, got {first} and {path}; give both alike")
    if not first.is_dir():
        return [_case(_name(first), first, second, third, ignore)]
    found = _by_name(first)
    if not found:
        raise ValueError(f"expected label maps ({', '.join(LABEL_SUFFIXES)}) in {first}, got none; check the folder")
    of_truth = _partners(found, second, "label map")
    unmatched = sorted(of_truth.keys() - found.keys())
    if unmatched and on_unmatched is not None:
        on_unmatched(unmatched)
    of_image = {} if third is None else _partners(found, third, "scan")
    return [_case(name, path, of_truth[name], of_image.get(name), ignore) for name, path in sorted(found.items())]


def evaluate(
    cases: Iterable[Case],
    structures: Sequence[StructureLike] | None = None,
    on_failure: Callable[[Case, Exception], object] | None = None,
) -> Report:
    """Returns the `Report` of some scans.

    Args:
        cases: The scans.
        structures: Structures to measure in every scan; None for all numbers in any of the label maps but 0.
        on_failure: Called with a case and its error if the scan cannot be evaluated; evaluation then continues with the
            next one. None to raise the first error.

    Raises:
        VolumeError: If a label map cannot be read, or prediction and ground truth are not on the same grid.
        OSError: If a file cannot be read.
        MemoryError: If a scan does not fit into memory.
    """
    found, known = {}, {}
    for case in cases:
        try:
            found[case.name], known[case.name] = _measure_case(case, structures), case.known
        except (VolumeError, OSError, MemoryError) as error:
            if on_failure is None:
                raise
            on_failure(case, error)
    structures = structures or unnamed_structures(sorted({label for measures in found.values() for label in measures}))
    return Report(
        tuple(
            Row(scan, structure.name, structure.id, measures.get(structure.id, Measures()))
            for scan, measures in found.items()
            for structure in structures
            if structure.id in measures or known[scan] is None
        )
    )


def without_ignored(prediction: Volume, truth: Volume, ignore: int | None) -> tuple[Volume, Volume]:
    """Returns prediction and ground truth with background where nobody looked, so that these voxels do not count.

    Args:
        prediction: The prediction, on the grid of the ground truth.
        truth: The ground truth.
        ignore: Its number of voxels that nobody looked at; None if it has none.

    Raises:
        VolumeError: If the grids differ.
    """
    if ignore is None:
        return prediction, truth
    prediction, is_unknown = check_grids(prediction, truth), truth.array == ignore
    first, second = (replace(one, array=np.where(is_unknown, 0, one.array)) for one in (prediction, truth))
    return first, second


def check_grids(prediction: Volume, truth: Volume) -> Volume:
    """Returns a prediction on the grid of its ground truth; only the order and direction of the axes may differ.

    Args:
        prediction: The volume to check.
        truth: The volume whose grid is expected.

    Raises:
        VolumeError: If the grids differ by more than rounding; see `Volume.aligned`.
    """
    return prediction.aligned(truth.grid, str(truth.source or "the ground truth"))


def _measure_case(case, structures):
    prediction, truth = case.read_maps()
    prediction = check_grids(prediction, truth)
    if structures is None:
        return measure_all(prediction.array, truth.array, truth.grid)
    known = [structure for structure in structures if case.known is None or structure.id in case.known]
    plain = [structure.id for structure in known if len(numbers_of(structure)) == 1]
    found = measure_all(prediction.array, truth.array, truth.grid, plain)
    for structure in known:
        if structure.id not in found:
            masks = (np.isin(volume.array, numbers_of(structure)) for volume in (prediction, truth))
            found[structure.id] = measure_all(*masks, truth.grid, [1])[1]
    return found


def _case(name, prediction, truth, image, ignore):
    return Case(
        name,
        lambda: without_ignored(volumes.read_labels(prediction), volumes.read_labels(truth), ignore),
        None if image is None else lambda: volumes.read(image),
    )


def _partners(found, folder, kind):
    partners = _by_name(folder)
    missing = sorted(found.keys() - partners.keys())
    if missing:
        raise ValueError(
            f"expected a {kind} in {folder} for each prediction, got none for {listed(missing, most=10)}; add them"
        )
    return partners


def _by_name(folder):
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(LABEL_SUFFIXES) and not path.name.startswith("."):
            name = _name(path)
            if name in found:
                raise ValueError(f"expected one file for each scan, got {found[name]} and {path}; move one away")
            found[name] = path
    return found


def _name(path):
    return stem(path).removesuffix(LABELS_ENDING).removesuffix(channel_ending(0))
