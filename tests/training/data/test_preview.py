import sys
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
from training.synthetic import changed

from recalib_keras.evaluation.figures.slices import VIEWS
from recalib_keras.training.data.examples import Scan
from recalib_keras.training.data.preview import Samples, draw, make_samples, preview, view_of, voxel_size
from recalib_keras.training.recipe import Augmentation
from recalib_keras.zoo import Input, Label

SAGITTAL, CORONAL, AXIAL = VIEWS
SHAPE = (12, 12, 12)
RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def plain(recipe):
    """The tiny recipe without any change of examples; its labels are 0, 17 and 53, its scans stored as RAS."""
    return changed(recipe, augmentation=vars(Augmentation()))


@pytest.fixture
def scan():
    """A scan in which each voxel has a value of its own, and a few voxels a class."""
    classes = np.zeros(SHAPE, "uint8")
    classes[2:5, 3:6, 8] = 1
    classes[2:4, 7, 7:9] = 2
    return Scan("numbered", np.arange(np.prod(SHAPE), dtype="float32").reshape(SHAPE), classes)


def samples_of(scan, recipe, view=AXIAL, count=2, seed=0):
    return make_samples(scan, recipe, view, count, np.random.default_rng(seed))


def test_the_first_is_the_window_as_it_is_where_most_foreground_is(plain, scan):
    samples = samples_of(scan, plain)
    assert samples.name == "numbered" and samples.images.shape == samples.labels.shape == (3, 12, 12)
    assert np.array_equal(samples.images[0], scan.image[:, :, 8])
    assert np.array_equal(samples.labels[0], np.array([0, 17, 53])[scan.classes[:, :, 8]])


def test_without_changes_the_others_are_like_the_first(plain, scan):
    samples = samples_of(scan, plain)
    np.testing.assert_allclose(samples.images[1:], np.tile(samples.images[0], (2, 1, 1)), rtol=1e-4)
    assert np.array_equal(samples.labels[1:], np.tile(samples.labels[0], (2, 1, 1)))


def test_the_others_are_changed_each_by_its_own(recipe, scan):
    samples = samples_of(scan, changed(recipe, augmentation={"rotation": 20.0}))
    assert np.array_equal(samples.images[0], scan.image[:, :, 8])
    assert len({image.tobytes() for image in samples.images}) == 3
    assert set(np.unique(samples.labels)) <= {0, 17, 53}


def test_a_turn_is_one_of_space_whatever_the_voxels(plain, scan):
    turning = changed(plain, augmentation={"rotation": 20.0})
    cubes, flat = (samples_of(replace(scan, spacing=size), turning).images for size in ((3, 3, 3), (1, 1, 4)))
    assert np.array_equal(cubes, samples_of(scan, turning).images) and not np.array_equal(cubes[1:], flat[1:])


def test_a_seed_makes_the_same_again_and_another_others(recipe, scan):
    first, again, other = (samples_of(scan, recipe, seed=seed).images for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first[1:], other[1:])


def test_a_flip_turns_left_and_right(plain, scan):
    samples = samples_of(scan, changed(plain, augmentation={"flip": 1.0}), CORONAL)
    place = int((scan.classes > 0).sum(axis=(0, 2)).argmax())
    np.testing.assert_allclose(samples.images[1], scan.image[::-1, place], rtol=1e-4)


def test_without_foreground_the_slice_is_the_middle_one(plain, scan):
    samples = samples_of(Scan("empty", scan.image, np.zeros(SHAPE, "uint8")), plain, SAGITTAL)
    assert np.array_equal(samples.images[0], scan.image[6])


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_slices_look_the_same_however_the_network_sees_the_scan(view, plain, scan):
    # Stored as SPR: axes are the former z, the former y backwards, and the former x.
    turned = Scan("turned", scan.image.transpose(2, 1, 0)[:, ::-1], scan.classes.transpose(2, 1, 0)[:, ::-1])
    samples = samples_of(turned, changed(plain, input={"orientation": "SPR"}), view)
    expected = samples_of(scan, plain, view)
    assert np.array_equal(samples.images[0], expected.images[0])
    assert np.array_equal(samples.labels[0], expected.labels[0])


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize(
    ("orientation", "window", "view"), [("RAS", (1, 12, 12), SAGITTAL), ("SAR", (12, 1, 12), CORONAL)]
)
def test_a_2d_network_shows_its_slices(orientation, window, view, context, plain, scan):
    recipe = changed(plain, input={"orientation": orientation, "window": window, "context": context})
    stored = scan if orientation == "RAS" else Scan("s", scan.image.T, scan.classes.T)
    samples = samples_of(stored, recipe, view_of(recipe.input), count=1)
    assert view_of(recipe.input) == view and samples.labels[0].any()
    places = [place for place in range(12) if np.array_equal(samples.images[0], scan.image.take(place, view.axis))]
    assert len(places) == 1
    np.testing.assert_allclose(samples.images[1], samples.images[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("window", "name", "expected"),
    [
        ((8, 8, 8), None, AXIAL),
        ((8, 8, 8), "sagittal", SAGITTAL),
        ((8, 8, 1), None, AXIAL),
        ((8, 1, 8), "coronal", CORONAL),
    ],
)
def test_views(window, name, expected):
    assert view_of(Input(window), name) == expected


def test_refuses_a_view_that_a_2d_network_does_not_see():
    with pytest.raises(ValueError, match=r"expected the view 'sagittal', as the recipe's network sees .* got 'axial'"):
        view_of(Input((1, 8, 8)), "axial")


def test_refuses_a_view_that_is_none():
    with pytest.raises(ValueError, match="expected a view of sagittal, coronal, axial, got 'oblique'"):
        view_of(Input((8, 8, 8)), "oblique")


def test_voxel_sizes_are_those_along_x_y_and_z():
    assert voxel_size(Input((8, 8, 8), "SRA", (1.0, 2.0, 3.0))).tolist() == [2, 3, 1]
    assert voxel_size(Input((8, 8, 8), "SRA")).tolist() == [1, 1, 1]


@pytest.fixture
def coloured(recipe):
    """The tiny recipe, its structures in red and green, its voxels 1 × 2 × 1 mm."""
    labels = (recipe.labels[0], Label(17, "shell", RED), Label(53, "core", GREEN))
    return changed(recipe.__class__(**{**vars(recipe), "labels": labels}), input={"spacing": (1.0, 2.0, 1.0)})


@pytest.fixture
def rows():
    """Two rows of an example and two changed ones, of 10 × 8 voxels; a shell of 4 × 3 voxels in all but the last."""
    images = np.random.default_rng(0).normal(size=(2, 3, 10, 8))
    labels = np.zeros(images.shape, int)
    labels[:, :, 2:6, 3:6] = 17
    labels[1, 2] = 0
    return [Samples("scan a", images[0], labels[0]), Samples("a scan with a rather long name", images[1], labels[1])]


def near(picture, color):
    """Which pixels of a PNG are close to a colour."""
    return np.abs(picture[..., :3] - np.array(color) / 255).max(-1) < 0.25


def test_a_png_with_the_structures_colours_is_written(tmp_path, coloured, data):
    path = preview(coloured, data, tmp_path / "new" / "sheet.png", scans=2, samples=3)
    picture = matplotlib.image.imread(path)
    assert path == tmp_path / "new" / "sheet.png" and min(picture.shape[:2]) > 300
    assert near(picture, RED).any() and near(picture, GREEN).any()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_seed_draws_the_same_picture_again_and_another_one_another(tmp_path, coloured, data):
    for name, seed in (("coloured", None), ("same", coloured.seed), ("other", coloured.seed + 1)):
        preview(coloured, data, tmp_path / f"{name}.png", scans=1, samples=1, seed=seed)
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in ("coloured", "same", "other")]
    assert pictures[0] == pictures[1] != pictures[2]


def test_rows_are_scans_and_columns_are_numbered(rows, coloured):
    figure = draw(rows, coloured, VIEWS[2])
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes] == ["as it is", "1", "2", "", "", ""]
    assert [text.get_text() for text in figure.axes[0].texts] == ["scan a", "L", "R", "P", "A", "2 mm"]
    assert [text.get_text() for text in figure.axes[3].texts] == ["…with a rather long name"]
    for axes, image in zip(figure.axes, np.concatenate([row.images for row in rows])):
        assert np.array_equal(axes.images[0].get_array(), image.T)
    across, down = figure.axes[1].get_position(), figure.axes[3].get_position()
    first = figure.axes[0].get_position()
    assert across.x0 > first.x1 and down.y1 < first.y0


def test_millimetres_are_equally_long_and_outlines_half_a_voxel_around(rows, coloured):
    figure = draw(rows, coloured, VIEWS[2])  # voxels of 1 × 2 mm
    width, height = figure.axes[0].get_position().size * figure.get_size_inches()
    assert width / height == pytest.approx(10 * 1 / (8 * 2))
    outline = np.concatenate([path.vertices for path in figure.axes[1].collections[0].get_paths()])
    assert outline.min(axis=0) == pytest.approx((2, 3 * 2))
    assert outline.max(axis=0) == pytest.approx((6, 6 * 2))
    assert not figure.axes[5].collections


def test_a_row_has_the_grey_scale_of_its_first_panel(rows, coloured):
    figure = draw(rows, coloured, VIEWS[2])
    limits = [axes.images[0].get_clim() for axes in figure.axes]
    assert limits[0] == limits[1] == limits[2] != limits[3] == limits[4] == limits[5]
    low, high = np.percentile(rows[1].images[0], (0.5, 99.5))
    assert limits[3] == pytest.approx((low, high + 0.08 * (high - low)))  # the brightest voxels are a light grey


def test_the_legend_names_the_structures_that_are_seen(rows, coloured):
    figure = draw(rows, coloured, VIEWS[2])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["shell"]


def test_no_more_rows_than_training_scans(tmp_path, coloured, data, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "recalib_keras.training.data.preview.draw", lambda rows, *_: drawn.extend(rows) or draw(rows, *_)
    )
    preview(coloured, data, tmp_path / "sheet.png", scans=9, samples=1)
    assert [row.name for row in drawn] == ["ball_1", "ball_2", "ball_4", "ball_5"]  # every third is held out


@pytest.mark.parametrize("counts", [{"scans": 0}, {"samples": 0}])
def test_refuses_to_draw_nothing(counts, tmp_path, coloured, data):
    with pytest.raises(ValueError, match="expected at least 1 scan and 1 sample, got"):
        preview(coloured, data, tmp_path / "sheet.png", **counts)


def test_refuses_data_of_which_all_is_held_out(tmp_path, coloured, data):
    with pytest.raises(ValueError, match=r"expected training scans, got none: every 1\. scan is a validation scan"):
        preview(changed(coloured, data={"validate_every": 1}), data, tmp_path / "sheet.png")


def test_missing_matplotlib_is_reported_with_what_to_install(tmp_path, coloured, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[figures\]"'):
        preview(coloured, data, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
