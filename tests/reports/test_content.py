import dataclasses
import re

import numpy as np
import pytest
from cubes import STRUCTURES, reference_range

from recalib_keras.evaluation import StructureVolume
from recalib_keras.inference import Uncertainty
from recalib_keras.inference.batch.manifest import findings_of
from recalib_keras.inference.quality_control import SegmentationStatistics, quality_warnings
from recalib_keras.reports.content import content_of
from recalib_keras.reports.structure_table import notes, structure_table
from recalib_keras.reports.words import OTHERWISE, in_plain_words, kinds


def content(segmentation, **changes):
    return content_of("head.nii.gz", segmentation, {**findings_of(segmentation), **changes})


def test_a_pair_is_a_row_with_both_sides(segmentation):
    cube, stem = content(segmentation).rows
    assert (cube.name, cube.places, stem.name, stem.places) == ("cube", (1, 2), "stem", (3,))
    assert cube.millilitres == pytest.approx((0.432, 0.36)) and stem.millilitres == pytest.approx((0.064,))
    assert cube.asymmetry == pytest.approx(200 * 36 / 396) and stem.asymmetry is None


def test_left_comes_first_whatever_the_numbers(segmentation):
    background, left, right, stem = segmentation.classes
    turned = dataclasses.replace(segmentation, classes=(background, right, left, stem))
    assert content(turned).rows[0].places == (2, 1)
    assert content(turned).rows[0].millilitres == pytest.approx((0.432, 0.36))


def test_a_pair_without_sides_in_its_names_is_two_rows(segmentation):
    names = dict(zip((10, 49), ("cube a", "cube b")))
    classes = [dataclasses.replace(each, name=names.get(each.id, each.name)) for each in segmentation.classes]
    rows = content(dataclasses.replace(segmentation, classes=classes)).rows
    assert [row.name for row in rows] == ["cube a", "cube b", "stem"]


@pytest.mark.parametrize(("own", "is_beyond"), [((2.0, 1.0), True), ((18.0, 1.0), False), ((10.0, 5.0), False)])
def test_an_asymmetry_is_compared_with_the_networks_own(segmentation, own, is_beyond):
    measured = dataclasses.replace(segmentation.own_asymmetry, percent={"left cube": own})
    (cube, stem) = content(dataclasses.replace(segmentation, own_asymmetry=measured)).rows
    assert cube.is_beyond_own is is_beyond and stem.is_beyond_own is None


def test_without_the_networks_own_nothing_is_said(segmentation):
    assert content(dataclasses.replace(segmentation, own_asymmetry=None)).rows[0].is_beyond_own is None


def test_what_the_manifest_knows_counts_for_the_same_voxels_only(segmentation):
    found = findings_of(segmentation)
    structures = [{**one, "mean_entropy": 0.25} for one in found["structures"]]
    known = {"structures": structures, "mean_entropy": 0.2, "warnings": ["odd"]}
    same = content(segmentation, **known)
    assert (same.entropy, list(same.warnings), same.rows[0].entropies) == (0.2, ["odd"], (0.25, 0.25))
    structures = [{**structures[0], "voxels": 1}, *structures[1:]]
    changed = content(segmentation, **{**known, "structures": structures})
    assert (changed.entropy, list(changed.warnings), changed.rows[0].entropies) == (None, [], (None, None))


def test_what_was_measured_now_comes_first(segmentation):
    uncertainty = Uncertainty(segmentation.classes)
    uncertainty.observe(np.array([1]), np.array([[1.0, 1.0, 1.0, 1.0]]))
    measured = content(dataclasses.replace(segmentation, uncertainty=uncertainty), mean_entropy=0.2)
    assert measured.entropy == pytest.approx(1) and measured.rows[0].entropies[0] == pytest.approx(1)


@pytest.mark.parametrize(("volume_ml", "usual"), [((0.5, 1.0), True), ((2.0, 3.0), False), ((0.1, 0.2), False)])
def test_the_volume_is_judged_as_by_quality_control(segmentation, volume_ml, usual):
    changed = dataclasses.replace(segmentation, reference_range=reference_range(volume_ml))
    assert content(changed).is_volume_usual is usual
    assert any("structures have" in warning for warning in changed.warnings) is not usual


def ranged(segmentation, **ranges):
    """Returns the segmentation with ranges of structures; its left cube has 0.432 mL, the right one 0.36."""
    reference = dataclasses.replace(reference_range(), structures_ml=ranges, scans=8)
    return dataclasses.replace(segmentation, reference_range=reference)


def test_each_volume_stands_beside_its_range(segmentation):
    shown = content(ranged(segmentation, **{"left cube": (0.1, 0.4), "right cube": (0.3, 0.5)}))
    cube, stem = shown.rows
    assert cube.usual == ((0.1, 0.4), (0.3, 0.5)) and stem.usual == (None,)
    left, right = re.findall(r'<td class="number">(0\.\d+)(.*?)</td>', structure_table(shown.rows))[:2]
    assert left[0] == "0.43" and "above the range" in left[1] and "0.10–0.40" in left[1]
    assert right[0] == "0.36" and "the range" not in right[1] and "0.30–0.50" in right[1]
    below = structure_table(content(ranged(segmentation, stem=(0.08, 0.09))).rows)
    assert "↓" in below and "below the range" in below and "↑" not in below
    alike = structure_table(content(ranged(segmentation, stem=(0.05, 0.0639))).rows)  # 0.064 mL, shown as 0.06
    assert "0.05–0.06" in alike and "↑" not in alike
    # The new one of 9 scans that are alike is the smallest or the largest of them in 2 of 9 cases.
    assert "the 8 validation scans" in notes(shown) and "with a probability of 22% or more" in notes(shown)


def test_a_range_of_all_is_none_of_a_choice(segmentation):
    """The chosen cube is far smaller than all structures were; its own range still counts."""
    chosen = ranged(segmentation, **{"left cube": (0.4, 0.5)}).only(["left cube"])
    shown = content(chosen)
    assert not shown.is_whole and shown.is_volume_usual and shown.is_entropy_usual
    assert shown.rows[0].usual == ((0.4, 0.5),)


def test_every_warning_of_quality_control_has_a_meaning():
    """Warnings of each kind, made by the code that warns."""
    found = [StructureVolume(label.name, label.id, 5, 5.0) for label in STRUCTURES]
    reference = reference_range()
    warnings = [
        *quality_warnings(SegmentationStatistics(tuple(found), 0.5, 0.9), reference),
        *quality_warnings(
            SegmentationStatistics((found[0], dataclasses.replace(found[1], voxels=0), found[2]), 0, 0), reference
        ),
        *quality_warnings(SegmentationStatistics((dataclasses.replace(found[0], voxels=0),), 0, 0), None),
    ]
    assert {kind for warning in warnings for kind in kinds(warning)} == {
        *("unfamiliar", "unusual volume", "cut off", "structures missing", "nothing found")
    }
    explained = in_plain_words(warnings)
    assert all(each.meaning != OTHERWISE and not each.sentence[0].islower() for each in explained)
    assert in_plain_words(["blurred"])[0].meaning == OTHERWISE
