import csv
import math

import numpy as np
import pytest

from recalib_keras.core.tables import TableError
from recalib_keras.evaluation import MEASURES, Measures, Report, Row, summarize, write_summary

REPORT = Report(
    (
        Row("b", "spleen", 3, Measures(0.5, 1 / 3, 2.0, 1.0, 100.0, 150.0)),
        Row("b", "liver", 1, Measures(0.9, 9 / 11, 1.0, 0.5, 400.0, 300.0)),
        Row("a", "spleen", 3, Measures(0.0, 0.0, truth_mm3=80.0)),
        Row("a", "liver", 1, Measures()),
    )
)


def test_scans_keep_their_order_and_structures_are_sorted():
    assert REPORT.scans == ["b", "a"]
    assert REPORT.labels == {"liver": 1, "spleen": 3}
    assert REPORT.structures == ["liver", "spleen"]


def test_values_are_scans_by_structures():
    np.testing.assert_array_equal(REPORT.values("dice"), [[0.9, 0.5], [np.nan, 0.0]])
    np.testing.assert_array_equal(REPORT.values("volume_difference_mm3"), [[-100, 50], [np.nan, -80]])


def test_scan_means_exclude_missing_values():
    np.testing.assert_allclose(REPORT.scan_means("dice"), [0.7, 0.0])
    np.testing.assert_array_equal(REPORT.scan_means("hd95_mm"), [1.5, np.nan])


def test_a_missing_row_has_no_value():
    np.testing.assert_array_equal(Report(REPORT.rows[:3]).values("dice"), REPORT.values("dice"))


def test_counts():
    assert REPORT.counts("truth only") == {"liver": 0, "spleen": 1}
    assert REPORT.counts("both") == {"liver": 1, "spleen": 1}
    assert REPORT.counts("neither") == {"liver": 1, "spleen": 0}


def test_the_table(tmp_path):
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


def test_a_missing_report(tmp_path):
    with pytest.raises(
        ValueError, match=r"none\.csv: expected a table as `recalib evaluate -o` writes it, got no such file"
    ):
        Report.read(tmp_path / "none.csv")


def test_a_report_is_read_as_it_was_written(tmp_path, report):
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
    assert row.extra == {"rater": "me"}
    assert math.isnan(row.measures.hd95_mm)


HEADER = b"scan,structure,label,dice,jaccard,hd95_mm,assd_mm,truth_mm3,prediction_mm3\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"scan,label,dice\na,1,0.5\n", "no column structure, jaccard, hd95_mm, assd_mm, truth_mm3, prediction_mm3"),
        (b"", "no column scan"),
        (HEADER, "one without rows"),
        (
            HEADER + b"a,liver,1,high,1,1,1,1,1\n",
            "0 to 1 or an empty cell in column dice, got 'high' in row 2; correct",
        ),
        (HEADER + b"a,liver,1\n", "got 3 cells in row 2 for 9 columns"),
        (HEADER + b"a,liver,1,1,1,1,1,1,\n", "a number of at least 0 in column prediction_mm3, got '' in row 2"),
        (HEADER + b"a,liver,1.5,1,1,1,1,1,1\n", "a whole number in column label, got '1.5' in row 2"),
        (HEADER + 2 * b"a,liver,1,1,1,1,1,1,1\n", "each scan and structure once, got a, liver 2 times; remove"),
        (HEADER + b"a,liver,1,1,1,1,1,1,1,mine\n", "got 10 cells in row 2 for 9 columns"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "a table as `recalib evaluate -o` writes it, got an encoding other than UTF-8"),
        (HEADER.replace(b",", b";"), "no column scan, structure, .* among scan;structure.*commas between them"),
        ("scan,structure\nköpf,liver\n".encode("latin-1"), "such as Latin-1"),
        (HEADER.decode().encode("utf-16"), "UTF-16; save it as 'CSV UTF-8'"),
    ],
)
def test_invalid_reports(tmp_path, content, message):
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(TableError, match=rf"r\.csv: expected .*{message}"):
        Report.read(tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_bytes() == content


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        *[("dice", cell) for cell in ("1.2", "-0.1", "95", "inf")],
        *[("jaccard", "1.01"), ("hd95_mm", "-1"), ("assd_mm", "inf"), ("truth_mm3", "nan"), ("prediction_mm3", "-5")],
    ],
)
def test_values_outside_their_range_are_refused(tmp_path, column, cell):
    columns = HEADER.decode().strip().split(",")
    good = dict.fromkeys(columns, "1") | {"scan": "a", "structure": "liver"}
    rows = [good, good | {"scan": "b", column: cell}]
    lines = [",".join(row[name] for name in columns) for row in rows]
    (tmp_path / "r.csv").write_text(HEADER.decode() + "\n".join(lines))
    with pytest.raises(TableError, match=f"r.csv: expected a number .* in column {column}, got '{cell}' in row 3"):
        Report.read(tmp_path / "r.csv")


def test_columns_that_a_user_added_are_kept(tmp_path):
    text = HEADER.decode().strip() + ",rater,note\na,liver,1,1,1,1,1,1,1,me,'=odd\n"
    (tmp_path / "r.csv").write_text(text)
    written = Report.read(tmp_path / "r.csv").write(tmp_path / "again.csv").read_text().splitlines()
    assert written[0].endswith(",relative_volume_difference,rater,note")
    assert written[1].endswith(",0.0,0.0,me,'=odd")


def test_names_are_no_formulas(tmp_path):
    name = '=HYPERLINK("http://x")\n'
    path = Report((Row(name, "-liver", 1, Measures(0.5)),)).write(tmp_path / "r.csv")
    assert path.read_text().splitlines()[1].startswith('"\'=HYPERLINK(""http://x"")\\x0a",\'-liver,1,')
    (row,) = Report.read(path).rows
    assert (row.scan, row.structure) == (name, "-liver")
    table = write_summary(Report((row,)), tmp_path / "summary.csv").read_text().splitlines()
    assert table[1].startswith("'-liver,1,dice,0.5")


SUMMARIZED = Report(
    (
        Row("a", "liver", 1, Measures(0.9, hd95_mm=1.0, truth_mm3=10.0, prediction_mm3=12.0)),
        Row("b", "liver", 1, Measures(0.6, hd95_mm=4.0, truth_mm3=10.0, prediction_mm3=5.0)),
        Row("c", "liver", 1, Measures(0.0, truth_mm3=10.0)),
        Row("a", "spleen", 3, Measures(0.5, hd95_mm=3.0, truth_mm3=1.0, prediction_mm3=1.0)),
        Row("b", "spleen", 3, Measures()),
        Row("c", "spleen", 3, Measures(0.0, prediction_mm3=1.0)),
    )
)


def summary(structure, measure):
    return next(one for one in summarize(SUMMARIZED) if (one.structure, one.measure) == (structure, measure))


def test_summary_of_the_scans_that_have_a_value():
    dice = summary("liver", "dice")
    assert (dice.mean, dice.median, dice.scans) == (pytest.approx(0.5), 0.6, 3)
    assert dice.sd == pytest.approx(math.sqrt((0.4**2 + 0.1**2 + 0.5**2) / 2))
    distance = summary("liver", "hd95_mm")
    assert (distance.mean, distance.median, distance.scans) == (2.5, 2.5, 2)


def test_summary_counts_missed_and_spurious():
    assert [(summary(name, "dice").missed, summary(name, "dice").spurious) for name in ("liver", "spleen")] == [
        (1, 0),
        (0, 1),
    ]
    mean = summary("mean of structures", "dice")
    assert (mean.missed, mean.spurious) == (1, 1)


def test_summary_means_over_structures_first():
    # Scan a: 0.7; b: 0.6, since its spleen is in neither map; c: 0.
    assert summary("mean of structures", "dice").mean == pytest.approx(1.3 / 3)


def test_summary_of_a_single_scan_and_of_none():
    assert math.isnan(summary("spleen", "hd95_mm").sd) and summary("spleen", "hd95_mm").mean == 3
    nothing = summary("liver", "assd_mm")
    assert nothing.scans == 0 and math.isnan(nothing.mean) and math.isnan(nothing.median)


def test_the_summary_table(tmp_path):
    rows = list(csv.DictReader(write_summary(SUMMARIZED, tmp_path / "summary.csv").read_text().splitlines()))
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
