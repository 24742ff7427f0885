import csv
import math

import numpy as np
import pytest

from recalib_keras.evaluation import MEASURES, Measures, Report, Row

REPORT = Report(
    (
        Row("b", "spleen", 3, Measures(0.5, 1 / 3, 2.0, 1.0, 100.0, 150.0)),
        Row("b", "liver", 1, Measures(0.9, 9 / 11, 1.0, 0.5, 400.0, 300.0)),
        Row("a", "spleen", 3, Measures(0.0, 0.0, truth_mm3=80.0)),
        Row("a", "liver", 1, Measures()),
    )
)


def test_scans_keep_their_order_and_structures_are_sorted_by_number():
    assert REPORT.scans == ["b", "a"]
    assert REPORT.labels == {"liver": 1, "spleen": 3}
    assert REPORT.structures == ["liver", "spleen"]


def test_values_are_scans_by_structures():
    np.testing.assert_array_equal(REPORT.values("dice"), [[0.9, 0.5], [np.nan, 0.0]])
    np.testing.assert_array_equal(REPORT.values("volume_difference_mm3"), [[-100, 50], [np.nan, -80]])


def test_means_of_a_scan_leave_out_what_has_no_value():
    np.testing.assert_allclose(REPORT.scan_means("dice"), [0.7, 0.0])
    np.testing.assert_array_equal(REPORT.scan_means("hd95_mm"), [1.5, np.nan])


def test_a_row_that_is_not_there_has_no_value():
    np.testing.assert_array_equal(Report(REPORT.rows[:3]).values("dice"), REPORT.values("dice"))


def test_counts_say_where_structures_are_found():
    assert REPORT.counts("truth only") == {"liver": 0, "spleen": 1}
    assert REPORT.counts("both") == {"liver": 1, "spleen": 1}
    assert REPORT.counts("neither") == {"liver": 1, "spleen": 0}


def test_the_table_has_units_empty_cells_and_says_what_was_missed(tmp_path):
    path = REPORT.write(tmp_path / "new" / "report.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert rows[0] == {
        "scan": "b",
        "structure": "spleen",
        "label": "3",
        "found_in": "both",
        "dice": "0.5",
        "jaccard": "0.333333",
        "hd95_mm": "2.0",
        "assd_mm": "1.0",
        "truth_mm3": "100.0",
        "prediction_mm3": "150.0",
        "volume_difference_mm3": "50.0",
        "relative_volume_difference": "0.5",
    }
    assert (rows[2]["found_in"], rows[2]["dice"], rows[2]["hd95_mm"]) == ("truth only", "0.0", "")
    assert (rows[3]["found_in"], rows[3]["dice"], rows[3]["truth_mm3"]) == ("neither", "", "0.0")


def test_a_report_that_is_not_there(tmp_path):
    with pytest.raises(
        ValueError, match="none.csv: expected a table as `recalib evaluate -o` writes it, got no such file"
    ):
        Report.read(tmp_path / "none.csv")


def test_what_is_written_is_read_again(tmp_path, report):
    for one in (REPORT, report(scans=3, missed=[(0, 1)])):
        again = Report.read(one.write(tmp_path / "report.csv"))
        assert again.scans == one.scans and again.labels == one.labels
        for measure in MEASURES:
            np.testing.assert_allclose(again.values(measure), one.values(measure), atol=2e-6)
        for found_in in ("both", "truth only", "prediction only", "neither"):
            assert again.counts(found_in) == one.counts(found_in)


def test_a_table_edited_in_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "r.csv").write_text(
        "scan,label,structure,dice,jaccard,hd95_mm,assd_mm,truth_mm3,prediction_mm3,rater\na,1,liver,0.5,,,,10,5,me\n"
    )
    (row,) = Report.read(tmp_path / "r.csv").rows
    assert (row.scan, row.structure, row.label, row.measures.dice) == ("a", "liver", 1, 0.5)
    assert math.isnan(row.measures.hd95_mm)


HEADER = "scan,structure,label,dice,jaccard,hd95_mm,assd_mm,truth_mm3,prediction_mm3\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"scan,label,dice\na,1,0.5\n", "no column structure, jaccard, hd95_mm, assd_mm, truth_mm3, prediction_mm3"),
        (b"", "no column scan"),
        (HEADER.encode(), "one without rows"),
        (f"{HEADER}a,liver,1,high,1,1,1,1,1\n".encode(), "could not convert string to float: 'high'"),
        (f"{HEADER}a,liver,1\n".encode(), "a row with too few cells, that of a"),
        (f"{HEADER}a,liver,1,1,1,1,1,1,\n".encode(), "could not convert string to float: ''"),
        (f"{HEADER}{('a,liver,1,1,1,1,1,1,1' + chr(10)) * 2}".encode(), "each scan and structure once, got a, liver 2"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "expected a table as `recalib evaluate -o` writes it"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, content, message):
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Report.read(tmp_path / "r.csv")
