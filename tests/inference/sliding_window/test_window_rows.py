import numpy as np
import pytest

from recalib_keras.inference import Segmenter, SlidingWindow, View
from recalib_keras.inference.sliding_window.window_rows import WindowRows, changed, flipped, predicted, whole
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input, Label, Network, WeightSet

LABELS = (Label(0, "background"), Label(17, "left", mirror=53), Label(53, "right", mirror=17), Label(4, "ventricle"))
WINDOW = (8, 6, 4)


@pytest.fixture
def array():
    return np.random.default_rng(2).uniform(size=(2, *WINDOW, 3)).astype("float32")


def rows_of(array):
    return [WindowRows(len(window), window.__getitem__) for window in array]


def test_rows_are_those_of_the_array(array):
    rows = rows_of(array)
    assert len(rows[1]) == 8 and np.array_equal(np.stack(list(rows[1])), array[1])
    assert np.array_equal(rows[0][3, 1:4, :2], array[0, 3, 1:4, :2])
    assert np.array_equal(whole(rows), array) and whole(array) is array


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirror_image(array, axis):
    assert np.array_equal(whole(flipped(rows_of(array), axis)), np.flip(array, axis + 1))


def test_changes_voxel_by_voxel(array):
    both = changed(lambda a, b: a - 2 * b[..., ::-1], rows_of(array), rows_of(array + 1))
    assert np.array_equal(whole(both), array - 2 * (array + 1)[..., ::-1])


def test_slabs_are_made_when_they_are_needed_and_once(array):
    made = []

    def slab(index):
        made.append(index)
        return array[0, 2 * index : 2 * index + 2]

    rows = WindowRows.in_slabs(4, 2, slab)
    assert len(rows) == 8 and made == []
    assert np.array_equal(np.asarray(rows), array[0]) and made == [0, 1, 2, 3]
    rows = rows.flipped(0)
    assert np.array_equal(np.asarray(rows), array[0, ::-1]) and made == [0, 1, 2, 3, 2, 1, 0]


def position_dependent(windows):
    """Probabilities that depend on the voxel and on its place in the window."""
    place = np.sqrt(1 + np.arange(np.prod(WINDOW))).reshape(*WINDOW, 1)
    scores = 1.1 + np.sin(windows * np.arange(1, len(LABELS) + 1) + 3.7 * place)
    return (scores / scores.sum(-1, keepdims=True)).astype("float32")


class InRows:
    """An engine that gives rows; the array of its probabilities is never asked for."""

    def __call__(self, windows):
        raise AssertionError("the whole array is asked for")

    def in_rows(self, windows):
        return rows_of(position_dependent(windows))


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("shape", [WINDOW, (13, 11, 4), (20, 6, 9), (5, 4, 3)])
@pytest.mark.parametrize(("orientation", "spacing"), [("RAS", None), ("PLI", None), ("RAS", (1.3, 0.8, 1.0))])
def test_segmentations_by_rows_are_those_by_arrays(flips, shape, orientation, spacing):
    expects = Input(WINDOW, orientation, spacing, "none")
    weight_set = WeightSet("", Network("UNet"), expects, LABELS, "none.safetensors", "", 0)
    scan = Volume(np.random.default_rng(0).normal(size=shape).astype("float32"), Grid(shape, np.diag([-1.0, 1, 1, 1])))
    by_arrays, by_rows = (
        Segmenter(weight_set, engine, flips)(scan, probabilities="float32", uncertainty_maps=True)
        for engine in (position_dependent, InRows())
    )
    assert np.array_equal(by_rows.labels, by_arrays.labels) and len(np.unique(by_rows.labels)) > 1
    assert by_rows.uncertainty.by_structure == by_arrays.uncertainty.by_structure
    assert list(by_rows.maps) == list(by_arrays.maps)
    for name, one in by_arrays.maps.items():
        assert np.array_equal(by_rows.maps[name].array, one.array)


def test_a_row_is_passed_on_before_the_next_one_is_computed():
    """Nothing waits where one window shows all, so only one row is in memory; where windows overlap, rows wait."""
    events = []

    def predict(windows):
        def row(index):
            events.append(("computed", index))
            return np.full((*WINDOW[1:], 2), 0.5, "float32")

        return [WindowRows(WINDOW[0], row) for _ in windows]

    def passed_on(size):
        def observe(classes, sums):
            events.append(("passed on", None))

        events.clear()
        SlidingWindow([View(predict, WINDOW)], 2, observe=observe).predict(np.zeros((size, *WINDOW[1:]), "float32"))
        return [what for what, _ in events]

    assert passed_on(8) == ["computed", "passed on"] * 8
    # Windows start at 0 and at 4: the first four rows are complete with the first window.
    assert passed_on(12) == ["computed", "passed on"] * 4 + ["computed"] * 4 + ["computed", "passed on"] * 8


def test_rows_of_windows_beside_each_other_are_computed_together():
    events = []

    def predict(windows):
        number = len([what for what in events if what == "predicted"])
        events.append("predicted")

        def row(index):
            events.append((number, index))
            return np.full((*WINDOW[1:], 2), 0.5, "float32")

        return [WindowRows(WINDOW[0], row) for _ in windows]

    view = View(predict, WINDOW, voxels_per_batch=1)
    SlidingWindow([view], 2).predict(np.zeros((8, 6, 6), "float32"))
    assert events == ["predicted"] * 2 + [(window, row) for row in range(8) for window in range(2)]


def test_any_function_is_an_engine(array):
    assert predicted(lambda windows: windows, array) is array
