import keras
import numpy as np
import pytest

from recalib_keras.synthesis import Synthesis
from recalib_keras.synthesis.geometry import PLACES, Frame, Shape, draw_shape, labels_at, prevailing


def shape(rank=3, batch=1, **values):
    """Returns the shape that shows voxel 0 of the map in the middle of the window, but for what is given."""
    nothing = Shape(
        matrices=np.tile(np.eye(rank, dtype="float32"), (batch, 1, 1)),
        centres=np.zeros((batch, rank), "float32"),
        nodes=None,
        places=np.zeros((batch, 1, rank), "float32"),
    )
    return nothing._replace(**{name: np.asarray(value, "float32") for name, value in values.items()})


def look(maps, what, window):
    what = Shape(*(None if part is None else keras.ops.convert_to_tensor(part) for part in what))
    centres, places = labels_at(keras.ops.convert_to_tensor(maps), what, window)
    return keras.ops.convert_to_numpy(centres), [keras.ops.convert_to_numpy(place) for place in places]


@pytest.mark.parametrize("sizes", [(5, 6, 7), (9, 4)])
def test_a_window_as_large_as_the_map_shows_it(sizes, rng):
    maps = rng.integers(0, 9, (2, *sizes)).astype("uint8")
    middle = [(np.array(sizes) - 1) / 2] * 2
    centres, places = look(maps, shape(len(sizes), 2, centres=middle), sizes)
    assert np.array_equal(centres, maps) and centres.dtype == "uint8"
    assert len(places) == 1 and np.array_equal(places[0], maps)


def test_beyond_the_border_its_label_goes_on():
    maps = np.arange(1, 5, dtype="uint8").reshape(1, 4, 1)
    centres, _ = look(maps, shape(2, centres=[[1, 0]]), (9, 1))
    assert centres[0, :, 0].tolist() == [1, 1, 1, 1, 2, 3, 4, 4, 4]


def test_a_quarter_turn():
    maps = np.zeros((1, 9, 9), "uint8")
    maps[0, 4 + 1, 4 - 3] = 7
    # A voxel at o shows the map at `matrix @ o`: what stands at (1, -3) shows at (-3, -1).
    centres, _ = look(maps, shape(2, centres=[[4, 4]], matrices=[[[0, -1], [1, 0]]]), (9, 9))
    assert np.argwhere(centres[0] == 7).tolist() == [[4 - 3, 4 - 1]]


def test_displacements_are_added(rng):
    maps = rng.integers(0, 200, (1, 12, 12)).astype("uint8")
    nodes = np.zeros((1, 2, 16, 16))
    nodes[0, 1] = 2.0
    centres, _ = look(maps, shape(2, centres=[[5.5, 5.5]], nodes=nodes), (12, 12))
    assert np.array_equal(centres[0, :, :10], maps[0, :, 2:])


def test_large_voxels_are_looked_up_in_the_fine_map():
    maps = np.arange(16, dtype="uint8").reshape(1, 16)
    settings = Synthesis(partial_volume=2)
    drawn = draw_shape(settings, Frame((4,), (4.0,), (1.0,), 0), [7.5], False, np.random.default_rng(0))
    assert drawn.matrices.tolist() == [[4]] and drawn.places.ravel().tolist() == [-1, 1]
    batched = shape(1, centres=[drawn.centres], matrices=[drawn.matrices], places=[drawn.places])
    centres, places = look(maps, batched, (4,))
    # Voxels of 4 around 1.5, 5.5, …; a place half-way between two voxels of the map counts as the upper one.
    assert centres[0].tolist() == [2, 6, 10, 14]
    assert [place[0].tolist() for place in places] == [[1, 5, 9, 13], [3, 7, 11, 15]]


def test_places_lie_evenly_in_a_voxel():
    for count, places in PLACES.items():
        places = np.array(places)
        assert places.shape == (count, 3) and not places.sum(axis=0).any()
        assert len({tuple(place) for place in places.tolist()}) == count


def test_spacings_turn_millimetres_into_voxels(rng):
    frame = Frame((8, 8, 8), (2.0, 2.0, 4.0), (1.0, 2.0, 1.0), 0)
    drawn = draw_shape(Synthesis(), frame, (3, 4, 5), True, rng)
    assert np.array_equal(drawn.matrices, np.diag([-2, 1, 4])) and drawn.centres.tolist() == [3, 4, 5]
    assert drawn.nodes is None
    shifts = [draw_shape(Synthesis(translation=6), frame, (0, 0, 0), False, rng).centres for _ in range(1500)]
    np.testing.assert_allclose(np.std(shifts, axis=0), [6, 3, 6], rtol=0.1)
    elastic = draw_shape(Synthesis(elastic=3.0), frame, (0, 0, 0), False, np.random.default_rng(1)).nodes
    flipped = draw_shape(Synthesis(elastic=3.0), frame, (0, 0, 0), True, np.random.default_rng(1)).nodes
    np.testing.assert_allclose(flipped, elastic * np.array([-1, 1, 1]).reshape(3, 1, 1, 1), atol=1e-6)


def test_the_prevailing_class_is_that_of_most_places():
    classes = [np.array(row, "uint8") for row in ([1, 1, 1, 7], [2, 1, 2, 8], [2, 3, 1, 9], [3, 3, 2, 9])]
    found = prevailing([keras.ops.convert_to_tensor(one) for one in classes])
    assert keras.ops.convert_to_numpy(found).tolist() == [2, 1, 1, 9]  # of as many, the first: the centre's
    assert keras.ops.convert_to_numpy(prevailing(classes[:1])).tolist() == [1, 1, 1, 7]
