from types import SimpleNamespace

import numpy as np
import pytest

from recalib_keras.evaluation import StructureVolume
from recalib_keras.inference import (
    SegmentationStatistics,
    Uncertainty,
    quality_warnings,
    reference_range_of,
    segmentation_statistics,
)
from recalib_keras.inference.quality_control import EDGE_MARGIN, ENTROPY_MARGIN, VOLUME_MARGIN
from recalib_keras.volumes import Grid
from recalib_keras.zoo import Label, ReferenceRange

REFERENCE = ReferenceRange(
    entropy=0.1, volume_ml=(2.0, 4.0), at_edge=0.01, found={"head": 1.0, "body": 1.0, "tail": 0.9}
)


def statistics_of(head=1, body=1, tail=1, ml=3.0, at_edge=0.0, entropy=0.08):
    """Returns the statistics of a segmentation with this many voxels of three structures."""
    each = {"head": head, "body": body, "tail": tail}
    volumes = (StructureVolume(name, n, voxels, 1000 * ml / 3) for n, (name, voxels) in enumerate(each.items(), 1))
    return SegmentationStatistics(tuple(volumes), at_edge, entropy)


def test_a_familiar_scan_gives_no_warning():
    assert quality_warnings(statistics_of(), REFERENCE) == ()
    assert quality_warnings(statistics_of(tail=0), REFERENCE) == ()  # not every validation scan had one
    assert quality_warnings(statistics_of(entropy=None), REFERENCE) == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"entropy": 0.412},
            "the scan looks unlike those the network was trained on: mean entropy 0.41, at most 0.1 in validation",
        ),
        ({"ml": 0.25}, "the structures have 0.25 ml together, 2 ml to 4 ml in validation"),
        ({"ml": 1234.4}, "the structures have 1234 ml together, 2 ml to 4 ml in validation"),
        ({"body": 0}, "2 of 3 structures found; in validation every scan showed those missing here: body"),
        ({"body": 0, "tail": 0}, "1 of 3 structures found; in validation every scan showed those missing here: body"),
        (
            {"at_edge": 0.2},
            "the scan ends inside the structures: 20% of their surface lies on its edge, at most 1% in validation",
        ),
    ],
)  # fmt: skip
def test_each_warning(changes, sentence):
    assert quality_warnings(statistics_of(**changes), REFERENCE) == (sentence,)
    assert quality_warnings(statistics_of(**changes), None) == ()


def test_several_warnings():
    assert len(quality_warnings(statistics_of(head=0, ml=20, at_edge=0.5, entropy=0.9), REFERENCE)) == 4


@pytest.mark.parametrize(
    ("limit", "step"),
    [
        ({"entropy": 0.1 * ENTROPY_MARGIN}, 1e-3),
        ({"ml": 4 * VOLUME_MARGIN}, 1e-3),
        ({"ml": 2 / VOLUME_MARGIN}, -1e-3),
        ({"at_edge": 0.01 + EDGE_MARGIN}, 1e-3),
    ],
)
def test_limits_of_the_warnings(limit, step):
    ((name, value),) = limit.items()
    assert quality_warnings(statistics_of(**{name: value - step}), REFERENCE) == ()
    assert len(quality_warnings(statistics_of(**{name: value + step}), REFERENCE)) == 1


def test_an_entropy_that_is_no_number_does_not_pass():
    assert len(quality_warnings(statistics_of(entropy=float("nan")), REFERENCE)) == 1


def test_few_of_many_missing_structures_are_named():
    found = {f"rib {number}": 1.0 for number in range(12)}
    volumes = tuple(StructureVolume(name, n, int(n < 2), 1000.0) for n, name in enumerate(found))
    (sentence,) = quality_warnings(SegmentationStatistics(volumes, 0.0), ReferenceRange(0.1, (10.0, 14.0), 0.0, found))
    assert sentence.startswith("2 of 12 structures found; ") and sentence.endswith(": rib 2, rib 3, rib 4 and 7 more")


def test_nothing_found():
    nothing = statistics_of(head=0, body=0, tail=0, ml=0.0, entropy=None)
    assert (
        quality_warnings(nothing, None) == quality_warnings(nothing, REFERENCE) == ("nothing found: 0 of 3 structures",)
    )
    lesions = ReferenceRange(0.1, (0.0, 4.0), 0.0, {"head": 0.4})  # a scan may well have none
    assert quality_warnings(nothing, lesions) == ()


def test_reference_range_by_hand():
    seen = [
        statistics_of(ml=3.0, at_edge=0.02, entropy=0.123456),
        statistics_of(ml=2.0, at_edge=0.0, entropy=0.08, tail=0),
        statistics_of(ml=4.5, at_edge=0.01, entropy=None),
    ]
    assert reference_range_of(seen) == ReferenceRange(
        0.1235,
        (2.0, 4.5),
        0.02,
        found={"head": 1.0, "body": 1.0, "tail": 0.6667},
        structures_ml=dict.fromkeys(("head", "body", "tail"), (0.667, 1.5)),
        scans=3,
    )
    assert all(quality_warnings(scan, reference_range_of(seen)) == () for scan in seen)


def test_a_choice_of_structures_is_not_compared_with_all():
    chosen = SegmentationStatistics(statistics_of(ml=30).volumes[:2], 0.5, 0.9)
    assert quality_warnings(chosen, REFERENCE) == ()


def test_no_reference_range_without_any_structure_found():
    assert reference_range_of([]) is None
    assert reference_range_of([statistics_of(head=0, body=0, tail=0, ml=0.0, entropy=None)] * 2) is None


def test_statistics_of_a_label_map():
    labels = np.zeros((5, 5, 5), int)
    labels[1:3, 1:3, 1:3] = 17
    labels[3, 2, 2] = 9  # no structure
    grid = Grid(labels.shape, np.diag([10.0, 10, 5, 1]))
    structures = [SimpleNamespace(id=17, name="head", mirror=None), SimpleNamespace(id=53, name="tail", mirror=None)]
    uncertainty = Uncertainty([Label(0, "background"), Label(17, "head")])
    uncertainty.observe(np.array([1, 0]), np.array([[0.5, 0.5], [1.0, 0.0]]))
    seen = segmentation_statistics(labels, grid, structures, uncertainty)
    assert (seen.volume_ml, seen.at_edge, seen.entropy) == (pytest.approx(4.0), 0.0, 1.0)
    assert seen.found == {"head": True, "tail": False}
    assert segmentation_statistics(labels, grid, structures).entropy is None
