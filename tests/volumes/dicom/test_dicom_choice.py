import itertools

import numpy as np
import pytest
from made_series import SLICES, dicom_slice, frame_groups, item, multi_frame, refused, write

from recalib_keras.volumes import read

ECHOES = (30, 10, 20)
BASE, DIRECTIONS = 0, [[1, 0, 0], [0, 1, 0]]


@pytest.fixture
def echoes(rng):
    """Pixels of each volume, in the order of slices, rows, columns."""
    return rng.integers(-1000, 2000, (3, SLICES, 5, 4)).astype(np.int16)


@pytest.fixture
def classic(tmp_path, echoes):
    """Return a function that writes a series of three volumes; `tags(volume)` says what distinguishes them."""

    def make(tags, skip=()):
        for number, (volume, index) in enumerate(itertools.product(range(3), range(SLICES))):
            if (volume, index) not in skip:
                one = dicom_slice(index, echoes[volume, index], SOPInstanceUID=f"1.2.{number}", **tags(volume, index))
                write(one, tmp_path / f"{number * 5 % 19:02}.dcm")
        return tmp_path

    return make


def check(path, echoes, order=(0, 1, 2)):
    for volume, stored in enumerate(order):
        np.testing.assert_array_equal(read(path, volume=volume).array, echoes[stored].transpose(2, 1, 0))
    refused("expected a volume from 0 to 2", path, volume=3)


@pytest.mark.parametrize(
    ("tag", "values", "order"),
    [
        ("EchoTime", ECHOES, (1, 2, 0)),
        ("TemporalPositionIdentifier", (1, 2, 10), (0, 1, 2)),
        ("AcquisitionNumber", (3, 1, 2), (1, 2, 0)),
        ("DiffusionBValue", (0.0, 500.0, 1000.0), (0, 1, 2)),
        ("TriggerTime", (100, 50.5, 0), (2, 1, 0)),
        ("ImageType", (["D", "P", "W"], ["D", "P", "F"], ["D", "P", "IP"]), (1, 2, 0)),
        ("AcquisitionTime", ("101010", "101020", "101030"), (0, 1, 2)),
    ],
)
def test_volumes_of_a_classic_series(classic, echoes, tag, values, order):
    path = classic(lambda volume, index: {tag: values[volume], "ContentTime": f"1010{index:02}"})
    error = refused(rf"expected one 3-D volume, got a 4-D series of 3 volumes \(by {tag}\)", path)
    assert error.remedy.startswith("choose one from 0 to 2: --volume I")
    check(path, echoes, order)


def test_two_tags_that_distinguish_together(classic, echoes):
    def tags(volume, index):
        return {"EchoTime": (10, 10, 20)[volume], "ImageType": ["A", ("M", "P", "M")[volume]]}

    path = classic(tags)
    refused("3 volumes \\(by EchoTime and ImageType\\)", path)
    check(path, echoes)


def test_a_tag_that_differs_within_each_volume_distinguishes_nothing(classic):
    refused("expected one slice at each position, got 6 duplicated positions",
            classic(lambda volume, index: {"InstanceNumber": volume * SLICES + index}))  # fmt: skip


def test_a_volume_that_lacks_slices_is_not_chosen_silently(classic, echoes):
    path = classic(lambda volume, index: {"EchoTime": ECHOES[volume]}, skip=[(0, 5)])
    refused("expected 6 slices in each volume, got 5 in volume 2", path, volume=2)
    np.testing.assert_array_equal(read(path, volume=0).array, echoes[1].transpose(2, 1, 0))


@pytest.mark.parametrize("lost", [2, 5])
def test_one_of_two_volumes_lacks_a_slice(classic, echoes, lost):
    path = classic(lambda volume, index: {"EchoTime": ECHOES[volume]}, skip=[(0, lost), *((2, i) for i in range(6))])
    refused(r"a 4-D series of 2 volumes \(by EchoTime\)", path)
    refused("expected 6 slices in each volume, got 5 in volume 1", path, volume=1)
    np.testing.assert_array_equal(read(path, volume=0).array, echoes[1].transpose(2, 1, 0))


def test_a_damaged_tag_that_would_distinguish(classic):
    path = classic(lambda volume, index: {"FlipAngle": 5} if (volume, index) == (1, 2) else {})
    refused("got 6 duplicated positions", path)


# Multi-frame files


@pytest.fixture
def enhanced(tmp_path, echoes):
    """Return a function that writes a file of three volumes; `groups(volume, index)` are the groups of a frame."""

    def make(groups, position=lambda index: None, **tags):
        pairs = list(itertools.product(range(SLICES), range(3)))
        frames = [frame_groups(index, **groups(volume, index)) for index, volume in pairs]
        values = np.array([echoes[volume, index] for index, volume in pairs])
        unscaled = {"PixelValueTransformationSequence": [item(RescaleSlope=1, RescaleIntercept=0)]}
        write(multi_frame(values, frames, unscaled, **tags), tmp_path / "scan.dcm")
        return tmp_path / "scan.dcm"

    return make


@pytest.mark.parametrize(
    ("groups", "name", "order"),
    [
        (lambda volume, index: {"content": {"TemporalPositionIndex": volume + 1}}, "TemporalPositionIndex", (0, 1, 2)),
        (lambda volume, index: {"MREchoSequence": [item(EffectiveEchoTime=float(ECHOES[volume]))]},
         "EffectiveEchoTime", (1, 2, 0)),
        (lambda volume, index: {"MRImageFrameTypeSequence": [item(FrameType=["O", "P", "X", "WIF"[volume]])]},
         "FrameType", (2, 1, 0)),
        (lambda volume, index: {"content": {"DimensionIndexValues": [1, index + 1, volume + 1]}},
         "dimension 3", (0, 1, 2)),
    ],
)  # fmt: skip
def test_volumes_of_a_multi_frame_file(enhanced, echoes, groups, name, order):
    path = enhanced(groups)
    refused(rf"got a 4-D series of 3 volumes \(by {name}\); choose one from 0 to 2", path)
    check(path, echoes, order)
    check(path.parent, echoes, order)


def test_b_values_and_directions(enhanced, echoes):
    def groups(volume, index):
        diffusion = item(DiffusionBValue=0.0 if volume == 0 else 1000.0)
        if volume:
            direction = item(DiffusionGradientOrientation=[float(one) for one in DIRECTIONS[volume - 1]])
            diffusion.DiffusionGradientDirectionSequence = [direction]
        return {"MRDiffusionSequence": [diffusion]}

    path = enhanced(groups)
    refused(r"3 volumes \(by DiffusionGradientOrientation\)", path)
    check(path, echoes, (0, 2, 1))


def test_stacks_are_volumes_and_may_differ_in_direction(enhanced, echoes):
    def groups(volume, index):
        direction = [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1]][volume]
        place = np.array([10.0, 20, 30]) + 2.5 * index * np.cross(direction[:3], direction[3:])
        return {
            "content": {"StackID": str(volume + 1), "InStackPositionNumber": index + 1},
            "PlaneOrientationSequence": [item(ImageOrientationPatient=direction)],
            "position": place.tolist(),
        }

    path = enhanced(groups)
    refused(r"got a 4-D series of 3 volumes \(by StackID\)", path)
    check(path, echoes)
    assert [read(path, volume=volume).grid.orientation for volume in range(3)] == ["LPS", "PIR", "LIP"]


def test_frames_that_nothing_distinguishes(enhanced):
    refused("got 6 duplicated positions, the first in scan.dcm", enhanced(lambda volume, index: {}))
