import csv
import math

import pytest

from recalib_keras.evaluation import MEASURES, Measures, Report, Row, summarize, write_summary

REPORT = Report(
    (
        Row("a", "liver", 1, Measures(0.9, hd95_mm=1.0, truth_mm3=10.0, prediction_mm3=12.0)),
        Row("b", "liver", 1, Measures(0.6, hd95_mm=4.0, truth_mm3=10.0, prediction_mm3=5.0)),
        Row("c", "liver", 1, Measures(0.0, truth_mm3=10.0)),
        Row("a", "spleen", 3, Measures(0.5, hd95_mm=3.0, truth_mm3=1.0, prediction_mm3=1.0)),
        Row("b", "spleen", 3, Measures()),
        Row("c", "spleen", 3, Measures(0.0, prediction_mm3=1.0)),
    )
)


def found(structure, measure):
    return next(one for one in summarize(REPORT) if (one.structure, one.measure) == (structure, measure))


def test_a_structure_over_the_scans_that_have_a_value():
    dice = found("liver", "dice")
    assert (dice.mean, dice.median, dice.scans) == (pytest.approx(0.5), 0.6, 3)
    assert dice.sd == pytest.approx(math.sqrt((0.4**2 + 0.1**2 + 0.5**2) / 2))
    distance = found("liver", "hd95_mm")
    assert (distance.mean, distance.median, distance.scans) == (2.5, 2.5, 2)


def test_missed_and_spurious_are_counted():
    assert [(found(name, "dice").missed, found(name, "dice").spurious) for name in ("liver", "spleen")] == [
        (1, 0),
        (0, 1),
    ]
    mean = found("mean of structures", "dice")
    assert (mean.missed, mean.spurious) == (1, 1)


def test_the_mean_of_structures_is_taken_in_each_scan_first():
    # Scan a: 0.7; b: 0.6, since its spleen is in neither map; c: 0.
    assert found("mean of structures", "dice").mean == pytest.approx(1.3 / 3)


def test_a_single_scan_has_no_deviation_and_no_scan_no_mean():
    assert math.isnan(found("spleen", "hd95_mm").sd) and found("spleen", "hd95_mm").mean == 3
    nothing = found("liver", "assd_mm")
    assert nothing.scans == 0 and math.isnan(nothing.mean) and math.isnan(nothing.median)


def test_the_table_has_a_row_for_each_structure_and_measure(tmp_path):
    rows = list(csv.DictReader(write_summary(REPORT, tmp_path / "summary.csv").read_text().splitlines()))
    assert [row["structure"] for row in rows[:: len(MEASURES)]] == ["liver", "spleen", "mean of structures"]
    assert rows[0] == {
        "structure": "liver",
        "label": "1",
        "measure": "dice",
        "mean": "0.5",
        "sd": "0.458258",
        "median": "0.6",
        "scans": "3",
        "missed": "1",
        "spurious": "0",
    }
    assert rows[-1]["label"] == ""
