from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from recalib_keras.volumes import Grid, VolumeError
from recalib_keras.volumes.grid import in_millimetres

ORIENTATIONS = ["".join(code) for axes in product("LR", "PA", "IS") for code in permutations(axes)]
AFFINE = np.diag([-1.0, 1.5, 2.0, 1.0])


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_oriented_points_the_axes_and_returns(code, oblique_affine):
    grid = Grid((6, 5, 4), oblique_affine)
    turned = grid.oriented(code)
    assert turned.orientation == code
    assert sorted(turned.shape) == [4, 5, 6]
    assert sorted(np.round(turned.spacing, 5)) == [1.0, 1.5, 2.0]
    back = turned.oriented(grid.orientation)
    assert back.matches(grid, tolerance=1e-9)


def test_properties_in_millimetres(oblique_affine):
    grid = Grid((6, 5, 4), oblique_affine)
    assert grid.spacing == pytest.approx((1.0, 1.5, 2.0))
    assert grid.voxel_volume == pytest.approx(3.0)
    assert grid.orientation == "".join(nib.aff2axcodes(oblique_affine))


def test_orientation_code_may_be_lower_case():
    assert Grid((2, 3, 4), AFFINE).oriented("ras").orientation == "RAS"


@pytest.mark.parametrize("code", ["RA", "RAX", "RLS", "RASS", "", 3])
def test_oriented_refuses_other_codes(code):
    with pytest.raises(VolumeError, match="one letter each of L/R, P/A and I/S"):
        Grid((2, 3, 4), AFFINE).oriented(code)


def field_of_view(grid):
    edges = np.array([[-0.5, -0.5, -0.5, 1], [*(np.array(grid.shape) - 0.5), 1]]).T
    return (grid.affine @ edges)[:3].T


@pytest.mark.parametrize("spacing", [0.5, 0.75, 1.0, (1.0, 3.0, 1.2), 7.0])
def test_resampled_has_the_spacing_and_covers_the_same_field(spacing, oblique_affine):
    grid = Grid((20, 30, 25), oblique_affine)
    new = grid.resampled(spacing)
    assert new.spacing == pytest.approx(np.broadcast_to(spacing, 3))
    before, after = field_of_view(grid), field_of_view(new)
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=1e-9)
    # Half a new voxel along each axis at most.
    reach = np.abs(np.linalg.solve(new.affine[:3, :3], (after - before).T))
    assert reach.max() <= 0.5 + 1e-9


def test_resampled_by_a_whole_factor_keeps_the_edges():
    grid = Grid((8, 6, 4), AFFINE)
    new = grid.resampled((2, 3, 1))
    assert new.shape == (4, 3, 8)
    np.testing.assert_allclose(field_of_view(new), field_of_view(grid))


def test_resampled_leaves_an_axis_of_the_same_spacing_untouched():
    grid = Grid((8, 6, 4), np.diag([1.0005, 1.0, 2.0, 1.0]))
    new = grid.resampled(1.0)
    assert new.shape == (8, 6, 8)
    assert np.array_equal(new.affine[:, 0], grid.affine[:, 0])
    assert grid.resampled(grid.spacing).matches(grid, tolerance=0)


def test_resampled_keeps_at_least_one_voxel():
    assert Grid((1, 2, 3), np.eye(4)).resampled(10).shape == (1, 1, 1)


@pytest.mark.parametrize("spacing", [0, -1, (1, 1), (1, 0, 1), np.nan, np.inf, (1, 1, 1, 1)])
def test_resampled_refuses_other_spacings(spacing):
    with pytest.raises(VolumeError, match="one or three positive numbers"):
        Grid((2, 3, 4), AFFINE).resampled(spacing)


def test_resampled_refuses_to_fill_the_memory():
    with pytest.raises(VolumeError, match="check the scan's voxel size and its unit"):
        Grid((256, 256, 256), np.diag([1000.0, 1000, 1000, 1])).resampled(1)


def test_matches_measures_in_millimetres():
    grid = Grid((10, 10, 10), np.eye(4))
    turned = np.eye(4)
    turned[0, 1] = 1e-3  # moves the far voxels by 9 micrometres
    shifted = np.eye(4)
    shifted[2, 3] = 5e-4
    assert grid.matches(Grid((10, 10, 10), shifted))
    assert not grid.matches(Grid((10, 10, 10), turned))
    assert grid.matches(Grid((10, 10, 10), turned), tolerance=0.01)
    assert not grid.matches(Grid((10, 10, 11), np.eye(4)))


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, True), (0.11, True), (0.24, True), (-0.24, True), (0.26, False), (0.5, False)]
)
@pytest.mark.parametrize("axis", range(3))
def test_coincides_to_a_quarter_of_the_smallest_voxel(share, expected, axis, oblique_affine):
    grid, moved = Grid((10, 9, 8), oblique_affine), oblique_affine.copy()
    moved[axis, 3] += share * 1.0
    assert Grid((10, 9, 8), moved).coincides(grid) is expected
    assert grid.coincides(Grid((10, 9, 8), moved)) is expected


def test_grids_of_other_shapes_do_not_coincide():
    assert not Grid((10, 9, 8), np.eye(4)).coincides(Grid((10, 9, 7), np.eye(4)))


def test_affines_rounded_to_three_digits_coincide(oblique_affine):
    grid = Grid((181, 217, 60), oblique_affine)
    rounded = Grid(grid.shape, np.round(oblique_affine, 3))
    assert 0.05 < rounded.displacement(grid) < 0.2
    assert rounded.coincides(grid) and not rounded.matches(grid)


def test_displacement_is_a_length_and_displacements_are_along_the_axes_of_the_world(oblique_affine):
    grid, moved = Grid((5, 6, 7), oblique_affine), oblique_affine.copy()
    moved[:3, 3] += (3, -4, 0)
    other = Grid((5, 6, 7), moved)
    assert grid.displacement(other) == pytest.approx(5)
    np.testing.assert_allclose(grid.displacements(other), [3, 4, 0], atol=1e-9)


@pytest.mark.parametrize("angle", [0, 0.3, np.pi / 4, 1.2])
@pytest.mark.parametrize("code", ORIENTATIONS)
def test_turned_like_undoes_any_turn(code, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.0, 1.5, 2.0])
    grid = Grid((6, 5, 4), affine)
    stored = grid.oriented(code)
    assert stored.turned_like(grid).matches(grid, 1e-9)
    assert grid.turned_like(stored).matches(stored, 1e-9)


@pytest.mark.parametrize(
    ("shape", "shift", "expected"),
    [
        ((5, 6, 7), 0.5, "voxels up to 0.5 mm elsewhere"),
        ((5, 6, 8), 0.0, "one of 5 x 6 x 8 voxels of 1 x 1 x 1 mm, RAS"),
        ((7, 5, 6), 0.0, "one of 7 x 5 x 6 voxels of 1 x 1 x 1 mm, RAS"),
    ],
)
def test_difference(shape, shift, expected):
    affine = np.eye(4)
    affine[1, 3] = shift
    assert Grid(shape, affine).difference(Grid((5, 6, 7), np.eye(4))) == expected


def test_the_difference_of_a_flipped_grid_is_that_beyond_the_flip():
    affine = np.diag([-1.0, 1, 1, 1])
    affine[0, 3] = 4.5
    assert Grid((5, 6, 7), affine).difference(Grid((5, 6, 7), np.eye(4))) == "voxels up to 0.5 mm elsewhere"


def test_in_words():
    assert str(Grid((5, 6, 7), np.diag([-0.5, 1.25, 3, 1]))) == "5 x 6 x 7 voxels of 0.5 x 1.25 x 3 mm, LAS"
    assert in_millimetres((1, 20000, 0.01)) == "1 x 20,000 x 0.01 mm"


def test_cropped_keeps_the_places(oblique_affine):
    grid = Grid((6, 5, 4), oblique_affine)
    part = grid.cropped((slice(2, 6), slice(1, 3), slice(3, 99)))
    assert part.shape == (4, 2, 1)
    np.testing.assert_allclose(part.affine @ [1, 1, 0, 1], grid.affine @ [3, 2, 3, 1])


def singular():
    affine = np.eye(4)
    affine[:3, 1] = affine[:3, 0]
    return affine


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.eye(3), r"shape \(4, 4\)"),
        (np.full((4, 4), np.nan), "finite affine"),
        (np.diag([1, np.inf, 1, 1]), "finite affine"),
        (np.diag([1, 0, 1, 1]), "singular"),
        (singular(), "singular"),
        (np.diag([1, 1, 1, 2]), "last row"),
    ],
)
def test_refuses_an_affine_that_places_nothing(affine, message):
    with pytest.raises(VolumeError, match=message):
        Grid((2, 3, 4), affine)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5), (2, 0, 3)])
def test_refuses_other_shapes(shape):
    with pytest.raises(VolumeError, match="three positive numbers"):
        Grid(shape, np.eye(4))


def test_the_affine_is_a_copy_that_cannot_be_written():
    affine = np.eye(4)
    grid = Grid((2, 3, 4), affine)
    affine[0, 0] = 9
    assert grid.spacing == (1, 1, 1)
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 9


def turned(degrees, axis, spacing=(-1.0, 1.5, 2.0)):
    angle, affine = np.deg2rad(degrees), np.eye(4)
    one, two = (other for other in range(3) if other != axis)
    affine[one, one] = affine[two, two] = np.cos(angle)
    affine[one, two], affine[two, one] = -np.sin(angle), np.sin(angle)
    affine[:3, :3] = affine[:3, :3] * spacing
    affine[:3, 3] = 40, -30, 12
    return Grid((10, 11, 12), affine)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("degrees", "tilt"), [(0, 0), (4.9, 4.9), (30, 30), (45, 45), (60, 30), (90, 0), (-7, 7)])
def test_tilt_is_the_angle_to_the_nearest_axes(degrees, tilt, axis):
    grid = turned(degrees, axis)
    assert grid.tilt == pytest.approx(tilt, abs=1e-5) and grid.is_oblique == (tilt > 5)
    assert grid.oriented("SAR").tilt == pytest.approx(tilt, abs=1e-5)


def test_sheared_axes_are_tilted_too():
    """As in CT with a tilted gantry: slices are shifted against each other."""
    affine = np.eye(4)
    affine[1, 2] = np.tan(np.deg2rad(20))
    assert Grid((4, 4, 4), affine).tilt == pytest.approx(20)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [0.5, 1.0, (1.0, 3.0, 1.2), 7.0])
@pytest.mark.parametrize("code", ["RAS", "LIA", "SPR"])
def test_upright_holds_the_field_of_view(code, spacing, axis):
    grid = turned(30, axis)
    new = grid.upright(code, spacing)
    assert new.tilt == 0 and new.orientation == code
    assert new.spacing == pytest.approx(np.broadcast_to(spacing, 3))
    first = np.linalg.solve(new.affine[:3, :3], new.affine[:3, 3]) / 4
    np.testing.assert_allclose(first, np.rint(first), atol=1e-9)  # a multiple of four voxels
    ends = np.array(list(product(*((-0.5, size - 0.5) for size in grid.shape), (1,)))).T
    places = np.linalg.solve(new.affine, grid.affine @ ends)[:3]
    low, high = places.min(axis=1) + 0.5, np.array(new.shape) - 0.5 - places.max(axis=1)
    assert (low > -0.01).all() and (high > -0.01).all() and (low < 4).all() and (high < 1).all()  # and hardly more


def test_only_an_oblique_grid_is_set_upright():
    straight, oblique = turned(4.9, 0), turned(5.1, 0)
    assert straight.conformed("SAR", 1.0).matches(straight.oriented("SAR").resampled(1.0), tolerance=0)
    assert oblique.conformed("SAR", 1.0).matches(oblique.upright("SAR", 1.0), tolerance=0)
    for grid in (straight, oblique):
        assert grid.conformed("SAR", None).matches(grid.oriented("SAR"), tolerance=0)


def test_upright_refuses_more_voxels_than_anyone_means():
    with pytest.raises(VolumeError, match="expected at most 4,294,967,296 voxels"):
        turned(30, 0).upright("RAS", 0.001)
