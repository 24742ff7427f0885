import numpy as np
import pytest
from evaluation.drawn import assert_legible, legend

from recalib_keras.evaluation import Measures, Report, Row, Structure, volume_scatter
from recalib_keras.evaluation.figures.volume_scatter import draw_volume_scatter

LONG = [f"{side} inferior lateral ventricle {number}" for side in ("left", "right") for number in range(15)]


def of(*volumes):
    """A report of one structure, of pairs of true and predicted volumes."""
    rows = [
        Row(f"scan_{i}", "liver", 1, Measures(0.9, truth_mm3=t, prediction_mm3=p)) for i, (t, p) in enumerate(volumes)
    ]
    return Report(tuple(rows))


def points(figure, index=0):
    return np.asarray(figure.axes[0].collections[index].get_offsets())


def test_a_png_is_written(tmp_path, report):
    assert volume_scatter(report(), tmp_path / "new" / "v.png").read_bytes().startswith(b"\x89PNG")


def test_a_point_for_each_scan_and_structure(report):
    one = report(scans=7)
    figure = draw_volume_scatter(one)
    for index in range(2):
        expected = np.column_stack([one.values("truth_mm3"), one.values("prediction_mm3")])[:, [index, index + 2]]
        np.testing.assert_allclose(points(figure, index), expected)
    assert figure.axes[0].get_xlabel() == "true volume (mm³)"
    assert figure.axes[0].get_ylabel() == "predicted volume (mm³)"


def test_the_line_is_where_both_are_equal(report):
    axes = draw_volume_scatter(report()).axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), axes.lines[0].get_ydata())


def test_the_legend_shows_the_mean_relative_difference():
    assert legend(draw_volume_scatter(of((100, 110), (100, 80), (0, 5)))) == ["liver, −5.0 %, n = 2"]
    assert legend(draw_volume_scatter(of((0, 5)))) == ["liver, in no truth"]


def test_large_volumes_are_in_millilitres():
    figure = draw_volume_scatter(of((1.5e6, 1.4e6), (1.2e6, 1.25e6)))
    assert figure.axes[0].get_xlabel() == "true volume (mL)"
    np.testing.assert_allclose(points(figure), [[1500, 1400], [1200, 1250]])


def test_a_wide_range_is_logarithmic():
    figure = draw_volume_scatter(of((100, 110), (10000, 9000), (500, 0), (0, 300)))
    axes = figure.axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    low = axes.get_xlim()[0]
    np.testing.assert_allclose(points(figure)[2:], [[500, low], [low, 300]])
    assert draw_volume_scatter(of((100, 110), (500, 490))).axes[0].get_xscale() == "linear"


def test_points_have_the_colours_of_the_structures():
    figure = draw_volume_scatter(of((100, 110)), [Structure(1, "liver", (255, 0, 0))])
    assert tuple(figure.axes[0].collections[0].get_facecolor()[0][:3]) == (1, 0, 0)


@pytest.mark.parametrize("scans", [1, 200])
@pytest.mark.parametrize("structures", [("liver",), ("anterior hippocampus", "posterior hippocampus"), LONG])
def test_nothing_is_cut_off_or_overlaps(report, scans, structures):
    figure = draw_volume_scatter(report(scans=scans, structures=structures))
    assert_legible(figure)
    assert len(legend(figure)) == len(structures)


def test_an_empty_report_can_be_drawn():
    assert_legible(draw_volume_scatter(Report((Row("a", "liver", 1, Measures()),))))
