import sys

import matplotlib.image
import numpy as np
import pytest
from synthesis.heads import TABLE, head

from recalib_keras.evaluation.figures.canvas import save_figure
from recalib_keras.synthesis.preview import draw


@pytest.fixture
def scans():
    """Two scans, brighter to the right, the front and above, and their classes."""
    classes = TABLE.classes()[head()][None, ..., None]
    classes = np.concatenate([classes, np.zeros_like(classes)])
    images = np.indices((24, 24, 24)).sum(axis=0, dtype="float32")[None, ..., None]
    return np.concatenate([images, 5 * images]), classes


def test_each_scan_has_a_row_of_three_slices_without_and_with_outlines(scans):
    figure = draw(*scans, TABLE.structures, (2.0, 2.0, 2.0))
    assert len(figure.axes) == 12
    for plain, outlined in zip(figure.axes[:3], figure.axes[3:6]):
        assert np.array_equal(plain.images[0].get_array(), outlined.images[0].get_array())
        assert not plain.collections and len(outlined.collections) >= 2
    assert not any(axes.collections for axes in figure.axes[6:])  # of the second scan nothing is segmented


def test_right_front_and_top_are_where_they_belong(scans):
    figure = draw(*scans, TABLE.structures, (1.0, 1.0, 1.0))
    letters = [[text.get_text() for text in axes.texts] for axes in figure.axes[:3]]
    assert letters == [["L", "R", "P", "A", "5 mm"], ["L", "R", "I", "S"], ["P", "A", "I", "S"]]
    for axes in figure.axes[:3]:
        shown = np.asarray(axes.images[0].get_array())[::-1]  # first row uppermost
        assert shown[0].mean() > shown[-1].mean() and shown[:, -1].mean() > shown[:, 0].mean()


def test_a_millimetre_is_equally_long_everywhere(scans):
    figure = draw(*scans, TABLE.structures, (1.0, 2.0, 3.0))
    width, height, depth = 24, 48, 72
    sides = [axes.get_position().size * figure.get_size_inches() for axes in figure.axes]
    expected = [(width, height), (width, depth), (height, depth)] * 4
    assert np.ptp(np.array(sides) / np.array(expected)) == pytest.approx(0, abs=1e-6)


def test_the_picture_is_a_png_with_the_colours_of_the_structures(scans, tmp_path):
    path = save_figure(draw(*scans, TABLE.structures, (1.0, 1.0, 1.0)), tmp_path / "new" / "scans.png")
    pixels = matplotlib.image.imread(path)[..., :3]
    stem = np.array([119, 159, 176]) / 255
    assert path.parent.name == "new" and (np.abs(pixels - stem).max(axis=-1) < 0.15).any()


def test_without_matplotlib_the_command_to_install_it_is_named(scans, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[figures\]"'):
        draw(*scans, TABLE.structures, (1.0, 1.0, 1.0))
