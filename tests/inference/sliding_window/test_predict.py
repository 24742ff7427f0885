import itertools

import numpy as np
import pytest
from scipy.interpolate import interp1d

from recalib_keras.inference import SlidingWindow, View
from recalib_keras.inference.sliding_window import predict as windows
from recalib_keras.inference.sliding_window.output_grid import TIE_BREAK, OutputAxis, ResampledGrid


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def predict_labels(image, predict, window, num_classes, **settings):
    """Returns the most probable classes by one network."""
    return SlidingWindow([View(predict, window)], num_classes, **settings).predict(image)


def one_hot_of_values(num_classes):
    """Returns a predictor that is certain of the class that each voxel's value is."""

    def predict(batch):
        return np.eye(num_classes, dtype="float32")[np.rint(batch[..., 0]).astype(int)]

    return predict


def position_dependent(window, num_classes):
    """Returns a predictor whose answer for a voxel depends on its value and on where in the window it lies."""
    place = np.sqrt(1 + np.arange(np.prod(window))).reshape(window)
    phases = np.arange(1, num_classes + 1)

    def predict(batch):
        scores = 1 + np.sin(batch * phases + 3.7 * place[None, ..., None] * phases)
        return (scores / scores.sum(-1, keepdims=True)).astype("float32")

    return predict


def recorder(starts):
    """Returns a `progress` that notes where the windows start."""

    def progress(tasks):
        starts.extend(task.place for task in tasks)
        return tasks

    return progress


# Along each axis the image may be smaller than, as large as, or larger than the window.
@pytest.mark.parametrize("shape", list(itertools.product((5, 8, 19), (3, 6, 7), (2, 4, 11))))
def test_windows_and_blending_return_what_one_shot_would(shape, rng):
    image = rng.integers(0, 4, shape).astype("float32")
    labels = predict_labels(image, one_hot_of_values(4), (8, 6, 4), 4)
    assert labels.shape == shape and np.array_equal(labels, image)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
def test_any_overlap_covers_the_image(overlap, rng):
    image = rng.integers(0, 3, (21, 10, 13)).astype("float32")
    assert np.array_equal(predict_labels(image, one_hot_of_values(3), (8, 8, 8), 3, overlap=overlap), image)


def naive_labels(image, predict, window, num_classes, starts):
    """Averages all windows over the whole volume, one at a time, in float64, with Gaussian weights."""
    total, sum_of_weights = np.zeros((*image.shape, num_classes)), np.zeros((*image.shape, 1))
    offsets = [(np.arange(size) - (size - 1) / 2) / (size / 8) for size in window]
    square = sum(axis**2 for axis in np.meshgrid(*offsets, indexing="ij"))
    weights = np.exp(-square / 2)[..., None]
    for place in starts:
        cut = tuple(slice(start, start + size) for start, size in zip(place, window))
        total[cut] += weights * predict(image[cut][None, ..., None].astype("float32"))[0]
        sum_of_weights[cut] += weights
    return total / sum_of_weights


@pytest.mark.parametrize(
    ("shape", "window"), [((23, 9, 14), (8, 6, 8)), ((8, 20, 7), (8, 8, 4)), ((11, 6, 8), (4, 6, 8))]
)
@pytest.mark.parametrize("voxels_per_batch", [1, 1000, 2**18])
def test_the_moving_slab_is_the_sum_over_the_whole_volume(shape, window, voxels_per_batch, rng, monkeypatch):
    monkeypatch.setattr(windows, "VOXELS_PER_BATCH", voxels_per_batch)
    image, predict, starts = rng.normal(size=shape).astype("float32"), position_dependent(window, 3), []
    labels = predict_labels(image, predict, window, 3, progress=recorder(starts))
    total = naive_labels(image, predict, window, 3, starts)
    assert len(starts) > 2 and np.allclose(total.sum(-1), 1)
    ordered = np.sort(total, axis=-1)
    clear = ordered[..., -1] - ordered[..., -2] > 1e-4  # beyond the rounding of float32
    assert clear.mean() > 0.99 and np.array_equal(labels[clear], total.argmax(-1)[clear])


@pytest.mark.parametrize("voxels", [1, 30, 70, 10**6])
def test_the_labels_are_the_same_whatever_the_memory(voxels, rng):
    window, image = (6, 8, 4), rng.normal(size=(13, 17, 11)).astype("float32")
    predict, starts = position_dependent(window, 3), []
    expected = predict_labels(image, predict, window, 3)
    memory = voxels * 4 * window[0] * 3
    labels = predict_labels(image, predict, window, 3, memory=memory, progress=recorder(starts))
    assert np.array_equal(labels, expected)
    assert (len(starts) > len(set(starts))) == (voxels < 17 * 11)


def interpolated(values, places):
    """Interpolates linearly along the first three axes, one after the other, and continues the edges."""
    for axis, along in enumerate(places):
        known = np.arange(values.shape[axis])
        values = interp1d(known, values, axis=axis)(np.clip(along, 0, known[-1]))
    return values


@pytest.mark.parametrize("memory", [2**29, 3000, 40])
@pytest.mark.parametrize("num_classes", [2, 5])
def test_labels_on_a_finer_grid_are_those_of_interpolated_probabilities(memory, num_classes, rng):
    image, window = rng.normal(size=(9, 7, 11)).astype("float32"), (4, 5, 6)
    predict, starts, observed = position_dependent(window, num_classes), [], []
    predict_labels(image, predict, window, num_classes, progress=recorder(starts))
    places = [np.arange(-0.3, size - 0.5, step) for size, step in zip(image.shape, (0.4, 0.7, 0.5))]
    labels = predict_labels(
        image,
        predict,
        window,
        num_classes,
        memory=memory,
        observe=lambda classes, sums: observed.append(np.array_equal(classes, sums.argmax(-1)) and classes.size),
        output_grid=ResampledGrid([OutputAxis(along, size) for along, size in zip(places, image.shape)]),
    )
    total = interpolated(naive_labels(image, predict, window, num_classes, starts), [p + TIE_BREAK for p in places])
    assert labels.shape == total.shape[:3] and labels.dtype == np.uint8
    ordered = np.sort(total, axis=-1)
    clear = ordered[..., -1] - ordered[..., -2] > 1e-4
    assert clear.mean() > 0.98 and np.array_equal(labels[clear], total.argmax(-1)[clear])
    assert sum(observed) == image.size  # each voxel that the network looked at once


def test_coarser_labels_are_those_of_what_most_voxels_are(rng):
    image = np.repeat([0.0, 1.0, 0.0, 2.0], (8, 8, 4, 12))[:, None, None] * np.ones((1, 8, 8))
    axes = [OutputAxis(np.arange(0.5, 32, 2), 32), OutputAxis(np.arange(8), 8), OutputAxis(np.arange(8), 8)]
    labels = predict_labels(image, one_hot_of_values(3), (8, 8, 8), 3, output_grid=ResampledGrid(axes))
    assert labels[:, 4, 4].tolist() == [0] * 4 + [1] * 4 + [0] * 2 + [2] * 6


def test_the_middle_of_a_window_counts_more_than_its_rim():
    def predict(batch):  # class 1 in the middle of each window, class 0 at its rim
        middle = np.zeros(batch.shape[1:4], "float32")
        middle[2:-2] = 1
        return np.broadcast_to(np.stack([1 - middle, middle], -1), (*batch.shape[:4], 2))

    labels = predict_labels(np.zeros((20, 8, 8)), predict, (8, 8, 8), 2)[:, 4, 4]
    assert labels[2:-2].all() and not labels[:2].any() and not labels[-2:].any()


@pytest.mark.parametrize("shape", [(20, 9, 17), (8, 8, 8), (9, 8, 30), (3, 8, 16)])
@pytest.mark.parametrize("overlap", [0, 0.5])
def test_windows_overlap_as_asked_and_reach_both_ends(shape, overlap):
    starts = []
    predict_labels(np.zeros(shape), one_hot_of_values(2), (8, 8, 8), 2, overlap=overlap, progress=recorder(starts))
    assert starts == sorted(set(starts))
    for axis, size in enumerate(shape):
        along = sorted({place[axis] for place in starts})
        assert (along[0], along[-1]) == ((0, size - 8) if size >= 8 else (-((8 - size) // 2),) * 2)
        assert all(step <= 8 * (1 - overlap) for step in np.diff(along))


def test_batches_are_full_and_see_each_window_once(rng, monkeypatch):
    monkeypatch.setattr(windows, "VOXELS_PER_BATCH", 3 * 8**3 + 100)
    image, batches = rng.normal(size=(20, 16, 12)).astype("float32"), []

    def predict(batch):
        batches.append(batch.copy())
        return np.zeros((*batch.shape[:4], 2), "float32")

    starts = []
    predict_labels(image, predict, (8, 8, 8), 2, progress=recorder(starts))
    assert {batch.shape for batch in batches} == {(3, 8, 8, 8, 1)} and {batch.dtype for batch in batches} == {
        np.dtype("float32")
    }
    assert len(starts) == 4 * 3 * 2 and len(batches) == 8
    seen = np.concatenate(batches)[: len(starts), ..., 0]
    for window, (x, y, z) in zip(seen, starts, strict=True):
        assert np.array_equal(window, image[x : x + 8, y : y + 8, z : z + 8])


def test_a_last_batch_that_is_not_full_is_filled_up(monkeypatch, rng):
    monkeypatch.setattr(windows, "VOXELS_PER_BATCH", 2 * 8**3)
    sizes, image = [], rng.integers(0, 2, (16, 8, 8)).astype("float32")

    def predict(batch):
        sizes.append(len(batch))
        return one_hot_of_values(2)(batch)

    assert np.array_equal(predict_labels(image, predict, (8, 8, 8), 2), image)  # three windows
    assert sizes == [2, 2]


def test_progress_gets_all_windows_and_is_drawn_as_they_are_done(monkeypatch):
    steps = []

    def progress(tasks):
        assert len(tasks) == 3
        for task in tasks:
            yield task
            steps.append("drawn")

    def predict(batch):
        steps.append("predicted")
        return one_hot_of_values(2)(batch)

    monkeypatch.setattr(windows, "VOXELS_PER_BATCH", 8**3)
    predict_labels(np.zeros((16, 8, 8)), predict, (8, 8, 8), 2, progress=progress)
    assert steps == ["predicted", "drawn"] * 3


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_windows_of_one_voxel_along_an_axis_take_every_slice_once(axis, rng):
    window = tuple(1 if index == axis else 8 for index in range(3))
    image = rng.integers(0, 3, (6, 6, 6)).astype("float32")
    starts = []
    labels = predict_labels(image, one_hot_of_values(3), window, 3, progress=recorder(starts))
    assert np.array_equal(labels, image)
    assert [place[axis] for place in starts] == list(range(6)) and len(starts) == 6


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_view_with_a_margin_sees_the_slices_beside_its_own(axis, rng):
    window, margin = (tuple(other if index == axis else size for index in range(3)) for size, other in ((4, 1), (0, 2)))
    image = rng.integers(0, 3, (6, 6, 6)).astype("float32")

    def of_slice(place):
        return lambda batch: one_hot_of_values(3)(np.take(batch, [2 + place], axis + 1))

    for place in range(-2, 3):
        beside = np.clip(np.arange(6) + place, 0, 5)  # beyond the image its outermost slice is continued
        labels = SlidingWindow([View(of_slice(place), window, margin=margin)], 3).predict(image)
        assert np.array_equal(labels, image.take(beside, axis))


def test_a_small_image_is_continued_by_its_edge():
    seen = []

    def predict(batch):
        seen.append(batch)
        return one_hot_of_values(10)(batch)

    image = np.arange(1, 5, dtype="float32")[:, None, None]
    predict_labels(image, predict, (9, 1, 3), 10)
    assert seen[0][0, :, 0, 1, 0].tolist() == [1, 1, 1, 2, 3, 4, 4, 4, 4]


@pytest.mark.parametrize(("num_classes", "dtype"), [(2, "uint8"), (256, "uint8"), (257, "uint16")])
def test_the_smallest_type_that_holds_the_classes(num_classes, dtype):
    image = np.full((6, 2, 2), num_classes - 1, "float32")
    labels = predict_labels(image, one_hot_of_values(num_classes), (4, 2, 2), num_classes)
    assert labels.dtype == dtype and (labels == num_classes - 1).all()


def test_a_large_window_is_predicted_once(rng, monkeypatch):
    """Memory for the probabilities of two windows is there, however large they are."""
    monkeypatch.setattr(windows, "AGGREGATOR_MEMORY", 100)
    image, starts = rng.integers(0, 3, (12, 10, 8)).astype("float32"), []
    labels = predict_labels(image, one_hot_of_values(3), (12, 8, 6), 3, progress=recorder(starts))
    assert np.array_equal(labels, image) and len(starts) == len(set(starts)) == 4
