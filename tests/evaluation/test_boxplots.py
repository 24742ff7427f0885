import numpy as np
import pytest
from evaluation.drawn import assert_legible, legend

from recalib_keras.evaluation import MEASURES, Measures, Report, Row, Structure, boxplots
from recalib_keras.evaluation.figures.boxplots import draw_boxplots

LONG = [f"{side} inferior lateral ventricle {number}" for side in ("left", "right") for number in range(15)]


def rows(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def medians(axes):
    return [line.get_xdata()[0] for line in axes.lines if line.get_linewidth() == 1.6]


def test_a_png_is_written(tmp_path, report):
    path = boxplots(report(), tmp_path / "new" / "boxplots.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_rows_are_structures_and_panels_are_measures(report):
    figure = draw_boxplots(report())
    assert [axes.get_xlabel() for axes in figure.axes] == ["Dice", "HD95 (mm)"]
    assert rows(figure.axes[0]) == ["anterior", "posterior", "mean of structures"]
    assert rows(draw_boxplots(report(structures=("liver",))).axes[0]) == ["liver"]


def test_boxes_show_the_quartiles_of_the_values(report):
    one = report(scans=11)
    axes = draw_boxplots(one).axes[0]
    values = np.column_stack([one.values("dice"), one.scan_means("dice")])
    np.testing.assert_allclose(medians(axes), np.median(values, axis=0))
    for box, column in zip(axes.patches, values.T):
        ends = box.get_path().vertices[:, 0]
        np.testing.assert_allclose([ends.min(), ends.max()], np.percentile(column, [25, 75]))


def test_each_scan_with_a_value_is_a_point(report):
    one = report(scans=9, missed=[(2, 0), (3, 0)])
    dice, distance = draw_boxplots(one).axes
    assert [len(points.get_offsets()) for points in dice.collections] == [9, 9, 9]
    assert [len(points.get_offsets()) for points in distance.collections] == [7, 9, 9]
    assert sorted(dice.collections[0].get_offsets()[:, 0]) == pytest.approx(sorted(one.values("dice")[:, 0]))


def test_missed_structures_are_counted(report):
    figure = draw_boxplots(report(missed=[(2, 0), (3, 0), (3, 1)]))
    notes = {round(text.xy[1]): text.get_text() for text in figure.axes[1].texts}
    assert notes == {0: "n = 8, 2 missed", 1: "n = 8, 1 missed", 2: "n = 8"}
    assert_legible(figure)


def test_a_structure_missed_in_all_scans_has_no_box(report):
    figure = draw_boxplots(report(scans=3, missed=[(0, 0), (1, 0), (2, 0)]))
    assert rows(figure.axes[0])[0] == "anterior"
    assert len(figure.axes[1].collections) == 2


@pytest.mark.parametrize("scans", [1, 2, 200])
@pytest.mark.parametrize("structures", [("liver",), ("anterior hippocampus", "posterior hippocampus"), LONG])
def test_nothing_is_cut_off_or_overlaps(report, scans, structures):
    assert_legible(draw_boxplots(report(scans=scans, structures=structures)))


def test_boxes_have_the_colours_of_the_structures(report):
    red = Structure(1, "anterior", (255, 0, 0))
    boxes = draw_boxplots(report(scans=10), [red]).axes[0].patches
    assert boxes[0].get_facecolor()[:3] == (1, 0, 0)
    assert boxes[1].get_facecolor()[:3] != (1, 0, 0)


def test_several_reports_stand_side_by_side(report):
    reports = {"plain": report(12, seed=1), "with project & excite": report(12, seed=2), "other": report(12, ("odd",))}
    figure = draw_boxplots(reports)
    assert legend(figure) == list(reports)
    assert rows(figure.axes[0]) == ["anterior", "posterior", "odd", "mean of structures"]
    axes = figure.axes[0]
    assert len(axes.patches) == 3 + 3 + 2
    assert len({box.get_facecolor() for box in axes.patches}) == 3
    assert_legible(figure)


def test_any_measure_can_be_shown(report):
    figure = draw_boxplots(report(), measures=tuple(MEASURES))
    assert [axes.get_xlabel() for axes in figure.axes] == list(MEASURES.values())
    assert_legible(figure)


def test_perfect_values_lie_inside_the_panel():
    perfect = Report(tuple(Row(name, "liver", 1, Measures(1.0, 1.0, 0.0, 0.0, 5.0, 5.0)) for name in "abc"))
    dice, distance = draw_boxplots(perfect).axes
    assert dice.get_xlim()[0] < 1 < dice.get_xlim()[1]
    assert distance.get_xlim()[0] <= 0 < distance.get_xlim()[1]


def test_distances_are_logarithmic_with_outliers():
    def of(distances):
        return Report(
            tuple(
                Row(f"{i}", "liver", 1, Measures(0.9, 0.8, float(hd), 1.0, 5.0, 5.0)) for i, hd in enumerate(distances)
            )
        )

    axes = draw_boxplots(of([0.0, 1.0, 1.5, 2.0, 150.0])).axes[1]
    assert axes.get_xscale() == "symlog"
    assert axes.get_xlabel() == "HD95 (mm), logarithmic beyond 1 mm"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2", "5", "10", "20", "50", "100"]
    assert_legible(axes.figure)
    assert draw_boxplots(of([1.0, 1.5, 2.0, 9.0])).axes[1].get_xscale() == "linear"


def test_few_scans_are_points_with_a_median(report):
    few = report(scans=9)
    axes = draw_boxplots(few).axes[0]
    assert not axes.patches
    assert medians(axes)[:2] == pytest.approx(np.median(few.values("dice"), axis=0))


def test_points_of_a_scan_in_two_reports_are_joined(report):
    reports = {"before": report(scans=4, structures=("liver",), seed=1), "after": report(4, ("liver",), seed=2)}
    figure = draw_boxplots(reports)
    axes = figure.axes[0]
    joined = sorted(tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 0.6)
    values = np.column_stack([one.values("dice")[:, 0] for one in reports.values()])
    np.testing.assert_allclose(joined, sorted(map(tuple, values)))
    # The lines end at the points.
    points = {tuple(place) for dots in axes.collections for place in dots.get_offsets().round(6).tolist()}
    ends = {
        tuple(end) for line in axes.lines if line.get_linewidth() == 0.6 for end in line.get_xydata().round(6).tolist()
    }
    assert ends == points
    assert_legible(figure)


def test_many_scans_are_not_joined(report):
    axes = draw_boxplots({"before": report(scans=10), "after": report(scans=10, seed=1)}).axes[0]
    assert not [line for line in axes.lines if line.get_linewidth() == 0.6]
