import sys

import matplotlib.image
import numpy as np
import pytest
from training.synthetic import changed

from recalib_keras.evaluation.figures.slices import VIEWS
from recalib_keras.training.data.preview import Samples
from recalib_keras.training.data.sample_sheet import draw, sample_sheet
from recalib_keras.zoo import Label

RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def recipe(recipe):
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


def test_a_png_with_the_structures_colours_is_written(tmp_path, recipe, data):
    path = sample_sheet(recipe, data, tmp_path / "new" / "sheet.png", scans=2, samples=3)
    picture = matplotlib.image.imread(path)
    assert path == tmp_path / "new" / "sheet.png" and min(picture.shape[:2]) > 300
    assert near(picture, RED).any() and near(picture, GREEN).any()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_seed_draws_the_same_picture_again_and_another_one_another(tmp_path, recipe, data):
    for name, seed in (("recipe", None), ("same", recipe.seed), ("other", recipe.seed + 1)):
        sample_sheet(recipe, data, tmp_path / f"{name}.png", scans=1, samples=1, seed=seed)
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in ("recipe", "same", "other")]
    assert pictures[0] == pictures[1] != pictures[2]


def test_rows_are_scans_and_columns_are_numbered(rows, recipe):
    figure = draw(rows, recipe, VIEWS[2])
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes] == ["as it is", "1", "2", "", "", ""]
    assert [text.get_text() for text in figure.axes[0].texts] == ["scan a", "L", "R", "P", "A"]
    assert [text.get_text() for text in figure.axes[3].texts] == ["…with a rather long name"]
    for axes, image in zip(figure.axes, np.concatenate([row.images for row in rows])):
        assert np.array_equal(axes.images[0].get_array(), image.T)
    across, down = figure.axes[1].get_position(), figure.axes[3].get_position()
    first = figure.axes[0].get_position()
    assert across.x0 > first.x1 and down.y1 < first.y0


def test_millimetres_are_equally_long_and_outlines_half_a_voxel_around(rows, recipe):
    figure = draw(rows, recipe, VIEWS[2])  # voxels of 1 × 2 mm
    width, height = figure.axes[0].get_position().size * figure.get_size_inches()
    assert width / height == pytest.approx(10 * 1 / (8 * 2))
    outline = np.concatenate([path.vertices for path in figure.axes[1].collections[0].get_paths()])
    assert outline.min(axis=0) == pytest.approx((2, 3 * 2))
    assert outline.max(axis=0) == pytest.approx((6, 6 * 2))
    assert not figure.axes[5].collections


def test_a_row_has_the_grey_scale_of_its_first_panel(rows, recipe):
    figure = draw(rows, recipe, VIEWS[2])
    limits = [axes.images[0].get_clim() for axes in figure.axes]
    assert limits[0] == limits[1] == limits[2] != limits[3] == limits[4] == limits[5]
    assert limits[3] == pytest.approx(np.percentile(rows[1].images[0], (0.5, 99.5)))


def test_the_legend_names_the_structures_that_are_seen(rows, recipe):
    figure = draw(rows, recipe, VIEWS[2])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["shell"]


def test_no_more_rows_than_training_scans(tmp_path, recipe, data, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "recalib_keras.training.data.sample_sheet.draw", lambda rows, *_: drawn.extend(rows) or draw(rows, *_)
    )
    sample_sheet(recipe, data, tmp_path / "sheet.png", scans=9, samples=1)
    assert [row.name for row in drawn] == ["ball_1", "ball_2", "ball_4", "ball_5"]  # every third is held out


@pytest.mark.parametrize("counts", [{"scans": 0}, {"samples": 0}])
def test_refuses_to_draw_nothing(counts, tmp_path, recipe, data):
    with pytest.raises(ValueError, match="expected at least 1 scan and 1 sample, got"):
        sample_sheet(recipe, data, tmp_path / "sheet.png", **counts)


def test_refuses_data_of_which_all_is_held_out(tmp_path, recipe, data):
    with pytest.raises(ValueError, match="expected scans to train on beside every 1. held out; found none"):
        sample_sheet(changed(recipe, data={"validate_every": 1}), data, tmp_path / "sheet.png")


def test_missing_matplotlib_is_told_with_what_to_install(tmp_path, recipe, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[figures\]"'):
        sample_sheet(recipe, data, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
