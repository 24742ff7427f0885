import keras
import numpy as np
import pytest

from recalib_keras.synthesis import Synthesis
from recalib_keras.synthesis.geometry import (
    GRID,
    PLACES,
    Frame,
    Geometry,
    draw_affine,
    draw_displacement,
    draw_geometry,
    labels_at,
    majority,
)

EXTENT = (150.0, 180.0, 150.0)


def geometry(rank=3, batch=1, **values):
    """Returns the geometry that shows voxel 0 of the map in the middle of the window, except for what is given."""
    nothing = Geometry(
        matrices=np.tile(np.eye(rank, dtype="float32"), (batch, 1, 1)),
        centres=np.zeros((batch, rank), "float32"),
        nodes=None,
        places=np.zeros((batch, 1, rank), "float32"),
    )
    return nothing._replace(**{name: np.asarray(value, "float32") for name, value in values.items()})


def look(maps, what, window):
    what = Geometry(*(None if part is None else keras.ops.convert_to_tensor(part) for part in what))
    centres, places = labels_at(keras.ops.convert_to_tensor(maps), what, window)
    return keras.ops.convert_to_numpy(centres), [keras.ops.convert_to_numpy(place) for place in places]


@pytest.mark.parametrize("sizes", [(5, 6, 7), (9, 4)])
def test_a_window_as_large_as_the_map_shows_it(sizes, rng):
    maps = rng.integers(0, 9, (2, *sizes)).astype("uint8")
    middle = [(np.array(sizes) - 1) / 2] * 2
    centres, places = look(maps, geometry(len(sizes), 2, centres=middle), sizes)
    assert np.array_equal(centres, maps) and centres.dtype == "uint8"
    assert len(places) == 1 and np.array_equal(places[0], maps)


def test_beyond_the_border_its_label_continues():
    maps = np.arange(1, 5, dtype="uint8").reshape(1, 4, 1)
    centres, _ = look(maps, geometry(2, centres=[[1, 0]]), (9, 1))
    assert centres[0, :, 0].tolist() == [1, 1, 1, 1, 2, 3, 4, 4, 4]


def test_a_quarter_turn():
    maps = np.zeros((1, 9, 9), "uint8")
    maps[0, 4 + 1, 4 - 3] = 7
    # A voxel at o shows the map at `matrix @ o`: what stands at (1, -3) shows at (-3, -1).
    centres, _ = look(maps, geometry(2, centres=[[4, 4]], matrices=[[[0, -1], [1, 0]]]), (9, 9))
    assert np.argwhere(centres[0] == 7).tolist() == [[4 - 3, 4 - 1]]


def test_displacements_are_added(rng):
    maps = rng.integers(0, 200, (1, 12, 12)).astype("uint8")
    nodes = np.zeros((1, 2, 16, 16))
    nodes[0, 1] = 2.0
    centres, _ = look(maps, geometry(2, centres=[[5.5, 5.5]], nodes=nodes), (12, 12))
    assert np.array_equal(centres[0, :, :10], maps[0, :, 2:])


def test_large_voxels_are_looked_up_in_the_fine_map():
    maps = np.arange(16, dtype="uint8").reshape(1, 16)
    settings = Synthesis(partial_volume=2)
    drawn = draw_geometry(settings, Frame((4,), (4.0,), (1.0,), 0), [7.5], False, np.random.default_rng(0))
    assert drawn.matrices.tolist() == [[4]] and drawn.places.ravel().tolist() == [-1, 1]
    batched = geometry(1, centres=[drawn.centres], matrices=[drawn.matrices], places=[drawn.places])
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
    drawn = draw_geometry(Synthesis(), frame, (3, 4, 5), True, rng)
    assert np.array_equal(drawn.matrices, np.diag([-2, 1, 4])) and drawn.centres.tolist() == [3, 4, 5]
    assert drawn.nodes is None
    shifts = [draw_geometry(Synthesis(translation=6), frame, (0, 0, 0), False, rng).centres for _ in range(1500)]
    np.testing.assert_allclose(np.std(shifts, axis=0), [6, 3, 6], rtol=0.1)
    elastic = draw_geometry(Synthesis(elastic=3.0), frame, (0, 0, 0), False, np.random.default_rng(1)).nodes
    flipped = draw_geometry(Synthesis(elastic=3.0), frame, (0, 0, 0), True, np.random.default_rng(1)).nodes
    np.testing.assert_allclose(flipped, elastic * np.array([-1, 1, 1]).reshape(3, 1, 1, 1), atol=1e-6)


def test_the_majority_is_that_of_most_places():
    classes = [np.array(row, "uint8") for row in ([1, 1, 1, 7], [2, 1, 2, 8], [2, 3, 1, 9], [3, 3, 2, 9])]
    found = majority([keras.ops.convert_to_tensor(one) for one in classes])
    assert keras.ops.convert_to_numpy(found).tolist() == [2, 1, 1, 9]  # of as many, the first: the centre's
    assert keras.ops.convert_to_numpy(majority(classes[:1])).tolist() == [1, 1, 1, 7]


def determinants(displacements, extent):
    """Returns how much each cell of the grid grows: the determinant of the displaced places' differences."""
    steps = np.array(extent) / (GRID - 1)
    places = np.indices((GRID,) * 3) * steps.reshape(3, 1, 1, 1) + displacements
    gradients = np.array([np.gradient(part, *steps) for part in places])
    return np.linalg.det(np.moveaxis(gradients, (0, 1), (-2, -1)))


def test_nothing_is_the_identity(rng):
    assert np.array_equal(draw_affine(Synthesis(), 3, 0, False, rng), np.eye(3))
    assert np.array_equal(draw_affine(Synthesis(), 3, 0, True, rng), np.diag([-1, 1, 1]))


def test_rotations_are_rotations_in_degrees(rng):
    matrices = np.array([draw_affine(Synthesis(rotation=12), 2, 0, False, rng) for _ in range(2000)])
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(2), (2000, 1, 1)), atol=1e-9)
    assert np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])).std() == pytest.approx(12, rel=0.06)
    turned = draw_affine(Synthesis(rotation=30), 3, 0, False, rng)
    assert np.linalg.det(turned) == pytest.approx(1) and np.linalg.det(
        draw_affine(Synthesis(rotation=9), 3, 1, True, rng)
    ) == pytest.approx(-1)


def test_scales_and_shears_have_the_deviations_they_say(rng):
    scaled = np.array([draw_affine(Synthesis(scaling=0.1), 3, 0, False, rng) for _ in range(1000)])
    assert np.log(scaled[:, range(3), range(3)]).std() == pytest.approx(0.1, rel=0.06)
    sheared = np.array([draw_affine(Synthesis(shearing=0.03), 3, 0, False, rng) for _ in range(1000)])
    assert sheared[:, 0, 1].std() == pytest.approx(0.03, rel=0.08) and (sheared[:, 0, 0] == 1).all()


@pytest.mark.parametrize(("largest", "nodes"), [(8.0, 8), (4.0, 16)])
def test_displacements_never_fold(largest, nodes, rng):
    for _ in range(20):
        assert determinants(draw_displacement(largest, nodes, EXTENT, rng), EXTENT).min() > 0


def test_displacements_have_the_deviation_they_say(rng):
    drawn = np.array([draw_displacement(3.0, 16, EXTENT, rng) for _ in range(300)])
    assert drawn.shape == (300, 3, GRID, GRID, GRID)
    deviations = drawn.std(axis=(2, 3, 4))
    # Even from 0 to 3: 1.5 in the mean, and hardly any above 3.
    assert deviations.mean() == pytest.approx(1.5, rel=0.12) and np.percentile(deviations, 98) < 4
