import numpy as np
import pytest
from evaluation.drawn import assert_legible, legend

from recalib_keras.evaluation import Measures, Report, Row, Structure, best_median_worst, panels
from recalib_keras.evaluation.figures.panels import draw_panels
from recalib_keras.volumes import VolumeError

LIVER, SPLEEN = Structure(7, "liver", (255, 0, 0)), Structure(9, "spleen", (0, 255, 0))


def of(*dice):
    return Report(tuple(Row(f"scan_{i}", "liver", 1, Measures(value)) for i, value in enumerate(dice)))


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ((0.7, 0.9, 0.8, 0.5, 0.6), {"best": "scan_1", "median": "scan_0", "worst": "scan_3"}),
        ((0.7, 0.9), {"best": "scan_1", "worst": "scan_0"}),
        ((0.7,), {"only": "scan_0"}),
        ((0.7, float("nan"), 0.8), {"best": "scan_2", "worst": "scan_0"}),
        ((float("nan"),), {}),
    ],
)
def test_best_median_and_worst(dice, expected):
    assert best_median_worst(of(*dice)) == expected


@pytest.fixture
def scan(volume):
    """Image, truth and prediction of 120 × 90 × 60 mm; the liver is largest seen from the front, in slice 20 of 60."""
    rng = np.random.default_rng(0)
    truth = np.zeros((120, 60, 20), np.uint8)
    truth[20:70, 15:26, 4:16] = 7
    prediction = np.zeros_like(truth)
    prediction[24:74, 15:26, 4:16] = 7
    prediction[60:64, 20, 5] = 9
    return [volume(array) for array in (rng.normal(size=truth.shape).astype("float32"), truth, prediction)]


def test_a_png_is_written(tmp_path, scan):
    path = panels({"best: a": scan}, [LIVER], tmp_path / "new" / "panels.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_row_for_each_scan(scan):
    figure = draw_panels({"best: a, Dice 0.9": scan, "worst: b, Dice 0.1": scan}, [LIVER, SPLEEN])
    assert len(figure.axes) == 6
    assert [text.get_text() for text in figure.texts] == [
        "image",
        "truth",
        "prediction",
        "best: a, Dice 0.9; coronal, y = 30 mm",
        "worst: b, Dice 0.1; coronal, y = 30 mm",
    ]
    assert [len(axes.collections) for axes in figure.axes] == [0, 2, 4] * 2
    assert legend(figure) == ["liver", "spleen"]
    assert_legible(figure)


def test_the_view_is_the_one_that_shows_most(scan):
    axes = draw_panels({"a": scan}, [LIVER]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["L", "R", "I", "S", "20 mm"]
    # From 20 to 73 along x, 15 mm around; along z, 4 to 15 of 3 mm are too few, and filled up to 60 mm.
    np.testing.assert_array_equal(axes.images[0].get_array(), scan[0].array[5:89, 20].T)


@pytest.mark.parametrize("orientation", ["LIA", "PSR"])
def test_any_orientation_gives_the_same_panels(tmp_path, scan, orientation):
    turned = [volume.conform(orientation, order=0) for volume in scan]
    panels({"a": scan}, [LIVER], tmp_path / "as_is.png")
    panels({"a": turned}, [LIVER], tmp_path / "turned.png")
    assert (tmp_path / "as_is.png").read_bytes() == (tmp_path / "turned.png").read_bytes()


def test_all_panels_have_one_scale(scan, volume):
    small = [volume(part.array[:, :, 3:17]) for part in scan]
    figure = draw_panels({"a": scan, "b": small}, [LIVER])
    lengths = [axes.get_position().size * figure.get_size_inches() for axes in figure.axes]
    extents = [axes.images[0].get_extent() for axes in figure.axes]
    ratios = [length / (right, top) for length, (_, right, _, top) in zip(lengths, extents)]
    assert np.ptp(ratios) == pytest.approx(0, abs=1e-6)


def test_missed_spurious_and_absent_structures(scan, volume):
    image, truth, _ = scan
    nothing = volume(np.zeros_like(truth.array))
    figure = draw_panels({"missed": [image, truth, nothing], "neither": [image, nothing, nothing]}, [LIVER])
    assert [len(axes.collections) for axes in figure.axes] == [0, 2, 0, 0, 0, 0]
    assert legend(draw_panels({"spurious": [image, nothing, truth]}, [LIVER])) == ["liver"]


def test_many_long_names_fit(scan, volume):
    labels = np.zeros((40, 40, 10), np.uint8)
    labels[:, 5:36, 5] = np.arange(1, 32)
    structures = [Structure(i, f"right inferior lateral ventricle {i}", (i, 2 * i, 3 * i)) for i in range(1, 32)]
    rows = {f"{rank}: a scan with quite a name": [volume(labels)] * 3 for rank in ("best", "median", "worst")}
    figure = draw_panels(rows, structures)
    assert len(legend(figure)) == 31
    assert_legible(figure)


def test_a_narrow_panel_leaves_room_for_the_titles(volume):
    thin = volume(np.pad(np.full((2, 60, 1), 7, np.uint8), ((0, 0), (2, 2), (0, 0))))
    assert_legible(draw_panels({"only: a scan with quite a name, Dice 0.987": [thin] * 3}, [LIVER]))


def test_different_grids_are_no_row(scan, volume):
    image, truth, prediction = scan
    moved = volume(image.array, np.diag([1.0, 1.0, 3.0, 1.0]))
    for row in ([moved, truth, prediction], [image, truth, moved]):
        with pytest.raises(VolumeError, match="expected the grid of the ground truth, "):
            draw_panels({"a": row}, [LIVER])
