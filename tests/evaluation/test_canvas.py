import sys

import matplotlib.image
import pytest

from recalib_keras.evaluation import boxplots, gate_figure, panels, volume_scatter
from recalib_keras.evaluation.figures.canvas import add_axes, new_figure, save_figure, text_width


def test_axes_in_inches():
    figure = new_figure(8, 4)
    box = add_axes(figure, 1, 0.5, 4, 2).get_position()
    assert [box.x0, box.y0, box.width, box.height] == pytest.approx([1 / 8, 0.5 / 4, 4 / 8, 2 / 4])


def test_a_figure_is_written(tmp_path):
    path = save_figure(new_figure(2, 1, dots_per_inch=50), tmp_path / "new" / "empty.png")
    assert matplotlib.image.imread(path).shape[:2] == (50, 100)
    assert [file.name for file in path.parent.iterdir()] == ["empty.png"]


def test_text_width():
    figure = new_figure(6, 1)
    for weight in ("normal", "bold"):
        drawn = figure.text(0, 0, "left hippocampus", fontsize=9, weight=weight).get_window_extent().width / figure.dpi
        assert text_width("left hippocampus", 9, weight) == pytest.approx(drawn, rel=0.03)
    assert text_width("a\nmuch longer", 9) == text_width("much longer", 9)
    assert text_width("bold", 9, "bold") > text_width("bold", 9)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path, volume, report: boxplots(report(), path),
        lambda path, volume, report: volume_scatter(report(), path),
        lambda path, volume, report: panels({"a": [volume([[[1]]])] * 3}, [], path),
        lambda path, volume, report: gate_figure(volume([[[1]]]), [], path),
    ],
)
def test_without_matplotlib(tmp_path, monkeypatch, volume, report, draw):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[figures\]"'):
        draw(tmp_path / "picture.png", volume, report)
    assert list(tmp_path.iterdir()) == []
