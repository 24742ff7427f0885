import dataclasses

import numpy as np
import pytest

from recalib_keras.inference import SlidingWindow, View
from recalib_keras.inference.foreground import MARGIN, Crop, foreground, predict_foreground
from recalib_keras.inference.sliding_window.output_grid import OutputAxis, ResampledGrid

# A body of intensity about 1 in the dark: its first voxels, and those behind its last.
LOW, HIGH = (40, 20, 32), (80, 68, 60)
SHAPE = (128, 80, 64)


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def scan(rng, air=0.0):
    """Returns an image of a bright block, in the dark or in noise."""
    image = np.abs(rng.normal(0, air, SHAPE)).astype("float32")
    block = tuple(slice(low, high) for low, high in zip(LOW, HIGH))
    image[block] = rng.uniform(0.8, 1.2, image[block].shape)
    return image


def at_place(num_classes=3):
    """Returns a predictor whose class depends on a voxel's value, its probability on where in the window it lies."""

    def predict(batch):
        right = np.eye(num_classes, dtype="float32")[np.clip(np.rint(batch[..., 0] * 2), 0, 2).astype(int)]
        sure = np.linspace(0.5, 0.9, batch[0].size).reshape(1, *batch.shape[1:]).astype("float32")
        return right * sure + (1 - sure) / num_classes

    return predict


@pytest.mark.parametrize("air", [0.0, 0.05, 0.1])
def test_the_air_around_a_body_is_left_out_but_for_a_margin(air, rng):
    for (low, high), first, end, size in zip(foreground(scan(rng, air)), LOW, HIGH, SHAPE):
        assert max(0, first - MARGIN - 4) <= low <= max(0, first - MARGIN)
        assert min(size, end + MARGIN) <= high <= min(size, end + MARGIN + 4)


@pytest.mark.parametrize(("offset", "scale"), [(-1000, 1000), (0, 1e-3), (5, 300)])
def test_the_scale_of_intensities_does_not_matter(offset, scale, rng):
    image = scan(rng, 0.05)
    assert foreground(image * np.float32(scale) + np.float32(offset)) == foreground(image)


@pytest.mark.parametrize("shape", [(20, 30, 40), (3, 50, 1), (1, 1, 1)])
@pytest.mark.parametrize("make", [np.zeros, np.ones, lambda shape: np.random.default_rng(0).normal(size=shape)])
def test_a_scan_without_dark_surroundings_is_all_body(shape, make):
    assert foreground(make(shape)) == tuple((0, size) for size in shape)


def test_labels_in_the_body_are_those_of_all_windows_and_air_is_background(rng):
    image, starts = scan(rng), []

    def progress(tasks):
        starts.append(len(tasks))
        return tasks

    sliding_window = SlidingWindow([View(at_place(), (32, 32, 32))], 3, progress=progress)
    labels = predict_foreground(sliding_window, image)
    assert set(np.unique(labels)) == {0, 2}
    assert np.array_equal(labels, sliding_window.predict(image))
    assert starts[0] < starts[1]


def test_labels_on_another_grid_are_those_of_all_windows(rng):
    image, views, observed = scan(rng), [View(at_place(), (48, 48, 48))], []
    axes = [OutputAxis(np.arange(-0.3, size - 0.5, step), size) for size, step in zip(SHAPE, (0.7, 2.3, 1.0))]
    whole = SlidingWindow(views, 3, output_grid=ResampledGrid(axes))
    labels = predict_foreground(
        dataclasses.replace(whole, observe=lambda classes, sums: observed.append(classes.size)), image
    )
    assert labels.shape == tuple(len(axis) for axis in axes)
    assert np.array_equal(labels, whole.predict(image))
    assert 0 < sum(observed) < image.size


def seen_by(views, image):
    """Returns the windows that a view's network sees."""
    seen = []

    def predict(batch):
        seen.extend(batch[..., 0])
        return at_place()(batch)

    predict_foreground(SlidingWindow([View(predict, window) for window in views], 3), image)
    return seen


def test_a_body_smaller_than_the_window_is_seen_with_what_is_around_it(rng):
    image = scan(rng, 0.05)
    (window,) = seen_by([(96, 80, 64)], image)
    places = [start for start in range(SHAPE[0] - 96 + 1) if np.array_equal(window, image[start : start + 96])]
    assert len(places) == 1 and places[0] <= LOW[0] - MARGIN and places[0] + 96 >= HIGH[0] + MARGIN


def test_a_scan_that_fits_into_a_window_is_seen_as_it_is(rng):
    (window,) = seen_by([(128, 96, 64)], scan(rng))
    assert np.array_equal(window[:, 8:88], scan(np.random.default_rng(2)))


def test_no_slice_is_left_out_along_a_slice_axis(rng):
    seen = seen_by([(1, 96, 64)], scan(rng))
    assert len(seen) >= SHAPE[0]  # a last batch may be filled up


def test_a_part_of_an_image_is_cut_where_it_is_asked_for(rng):
    image = rng.normal(size=(7, 8, 9))
    part = Crop(image, ((1, 5), (0, 8), (3, 9)))
    assert part.shape == (4, 8, 6)
    assert np.array_equal(part[0:10, 2:4, 1:], image[1:5, 2:4, 4:9])
    assert np.array_equal(part[:, :, :], image[1:5, :, 3:])
