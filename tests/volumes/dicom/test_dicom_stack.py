import warnings

import numpy as np
import pytest
from made_series import refused

from recalib_keras.volumes import ScanWarning, read


def at(*along, sideways=None):
    """Return the function that gives each slice its place: along z, and optionally to the side."""
    return lambda index: {"position": [10 + (sideways(index) if sideways else 0), 20, along[index]]}


def read_with_warning(match, folder):
    with pytest.warns(ScanWarning, match=match) as caught:
        volume = read(folder)
    assert len(caught) == 1
    return volume


def test_positions_rounded_to_a_tenth_of_a_millimetre(series, pixels):
    volume = read(series(change=at(*[round(0.625 * index, 1) for index in range(6)])))
    assert np.array_equal(volume.array, pixels.transpose(2, 1, 0))
    assert volume.grid.spacing[2] == pytest.approx(3.1 / 5)


def test_uneven_positions_beyond_rounding_are_reported(series):
    volume = read_with_warning(r"lie up to 0\.05 mm from an even grid; it is used, with steps of 2\.5 mm",
                  series(change=at(30, 32.5, 35.054, 37.5, 40, 42.5)))  # fmt: skip
    assert volume.grid.spacing[2] == pytest.approx(2.5)


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
@pytest.mark.parametrize("step", [0.3, 1, 5])
def test_a_missing_slice_is_named_with_its_position(series, missing, step):
    along = [step * index + (step if index >= missing else 0) for index in range(6)]
    error = refused(rf"slices {step:.2f} mm apart, got a gap of {2 * step:.2f} mm between", series(change=at(*along)))
    assert f"as if 1 were missing, the first at [10, 20, {step * missing:g}] mm (ImagePositionPatient)" in str(error)
    assert f"(slices {missing} and {missing + 1} of 6)" in error.received


@pytest.mark.parametrize("off", [0.2, 0.6, 1.2])
def test_a_slice_off_its_place(series, off):
    refused(r"slices 2\.50 mm apart, got a gap of", series(change=at(30, 32.5, 35, 37.5 + off, 40, 42.5)))


def test_every_other_slice_shifted_sideways(series):
    folder = series(change=at(*range(6), sideways=lambda index: 3 * (index % 2)))
    refused(r"expected slices in one straight line, got slices shifted sideways, IM\d by 2\.40 mm", folder)


def test_one_slice_shifted_sideways(series):
    folder = series(change=at(*range(6), sideways=lambda index: 0.4 * (index == 2)))
    refused(r"slices shifted sideways, IM3 by 0\.40 mm \(slice 3 of 6\)", folder)


def test_slices_that_follow_a_line_far_off_their_normal(series):
    folder = series(change=at(*range(6), sideways=lambda index: 2 * index))
    refused(r"slices stacked along their normal, .* got a step of \[2, 0, 1\] mm between slices, 63 degrees", folder)


def test_slices_side_by_side(series):
    folder = series(change=lambda index: {"position": [10 + 3 * index, 20, 30]})
    refused("got all 6 slices at one position", folder)


# Slices that may be missing where there is no gap


@pytest.mark.parametrize("direction", [1, -1])
def test_an_outermost_slice_is_missing_by_the_numbers(series, direction):
    def number(index):
        return {"InstanceNumber": index + 2 if direction > 0 else 7 - index}

    name = "IM0" if direction > 0 else "IM4"
    read_with_warning(
        rf"InstanceNumber begins at 2, in {name}: 1 slice may be missing there, at an end", series(change=number)
    )


def test_an_outermost_slice_is_missing_by_the_count(series):
    folder = series(change=lambda index: {"InstanceNumber": index + 1}, ImagesInAcquisition=7)
    read_with_warning("ImagesInAcquisition says 7 slices, there are 6", folder)


def test_every_other_slice_is_missing_by_the_header(series):
    read_with_warning(
        r"lie 2\.5 mm apart, 2 times as far as SpacingBetweenSlices says \(1\.25 mm\)",
        series(SpacingBetweenSlices=1.25),
    )


def test_every_other_slice_is_missing_by_thickness_and_numbers(series):
    folder = series(change=lambda index: {"InstanceNumber": 2 * index + 1}, SliceThickness=1.25)
    read_with_warning(r"2 times as far as SliceThickness says", folder)


@pytest.mark.parametrize(
    "tags",
    [
        lambda index: {"InstanceNumber": index},
        lambda index: {"InstanceNumber": index + 1},
        lambda index: {"InstanceNumber": 267 + index},  # numbered through several series, or cut on purpose
        lambda index: {"InstanceNumber": 2 * index + 2},  # every second image belongs to another series
        lambda index: {"InstanceNumber": index * 5 % 7},
        lambda index: {"SliceThickness": 1.25},  # gaps between slices
        lambda index: {"SliceThickness": 5, "SpacingBetweenSlices": 2.5, "ImagesInAcquisition": 600},
    ],
)
def test_good_numbers_are_no_reason_to_warn(series, tags):
    folder = series(change=tags)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(folder)
