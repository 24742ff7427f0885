import numpy as np
import pytest
from evaluation.drawn import assert_legible

from recalib_keras.evaluation import Measures, Report, Row, Structure, bland_altman
from recalib_keras.evaluation.figures.bland_altman import agreement, draw_bland_altman


def of(pairs, structure="liver"):
    """A report of pairs of true and predicted volumes (mm³)."""
    return Report(
        tuple(
            Row(f"scan_{i}", structure, 1, Measures(0.9, 0.8, truth_mm3=float(truth), prediction_mm3=float(prediction)))
            for i, (truth, prediction) in enumerate(pairs)
        )
    )


def test_bias_and_limits_of_agreement():
    truth, prediction = np.array([100.0, 200.0, 300.0, 0.0, 50.0]), np.array([120.0, 200.0, 270.0, 10.0, 0.0])
    means, differences, bias, low, high = agreement(truth, prediction)
    expected = np.array([20 / 110, 0.0, -30 / 285]) * 100
    np.testing.assert_allclose(means, [110, 200, 285])
    np.testing.assert_allclose(differences, expected)
    assert bias == pytest.approx(expected.mean())
    assert (low, high) == pytest.approx(
        (expected.mean() - 1.96 * expected.std(ddof=1), expected.mean() + 1.96 * expected.std(ddof=1))
    )


def test_two_scans_have_no_limits():
    _, _, bias, low, high = agreement(np.array([90.0, 110.0]), np.array([110.0, 90.0]))
    assert bias == 0 and np.isnan([low, high]).all()


def test_a_panel_shows_points_lines_and_numbers():
    report = of([(1000, 1100), (1200, 1200), (900, 880), (1000, 0)])
    axes = draw_bland_altman(report, [Structure(1, "liver", (220, 60, 40))]).axes[0]
    points = axes.collections[0]
    np.testing.assert_allclose(points.get_offsets()[:, 0], [1050, 1200, 890])
    assert points.get_facecolor()[0] == pytest.approx((220 / 255, 60 / 255, 40 / 255, 1))
    assert axes.get_title(loc="left") == "liver\nn = 3, 1 missed or spurious"
    assert axes.get_xlabel() == "mean volume (mm³)"
    _, _, bias, low, high = agreement(np.array([1000, 1200, 900.0]), np.array([1100, 1200, 880.0]))
    assert [text.get_text() for text in axes.texts] == [
        f"{value:+.1f}".replace("-", "−") for value in (bias, low, high)
    ]
    bottom, top = axes.get_ylim()
    assert bottom < low < high < top and top - bottom < 1.3 * (high - low)


def test_all_panels_have_one_scale_and_legible_texts(report):
    names = [f"{side} inferior lateral ventricle {number}" for side in ("left", "right") for number in range(8)]
    figure = draw_bland_altman(report(scans=7, structures=tuple(names), missed=[(1, 2)]))
    assert len(figure.axes) == 16
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert_legible(figure)


@pytest.mark.parametrize("scans", [1, 2, 60])
def test_few_and_many_scans(report, scans):
    assert_legible(draw_bland_altman(report(scans=scans)))


def test_equal_volumes_and_none_at_all():
    assert_legible(draw_bland_altman(of([(50_000, 50_000)] * 4)))
    axes = draw_bland_altman(of([(1000, 0)] * 3)).axes[0]
    assert [text.get_text() for text in axes.texts] == ["in no scan of both"]
    assert axes.get_title(loc="left") == "liver\nn = 0, 3 missed or spurious"


def test_an_svg_has_its_texts_as_texts(tmp_path, report):
    path = bland_altman(report(), tmp_path / "new" / "agreement.svg")
    text = path.read_text()
    assert text.startswith("<?xml") and "predicted − true volume" in text and "n = 8" in text
