import math
import os

import numpy as np
import pytest

from recalib_keras.core.errors import WriteError
from recalib_keras.core.tables import TableError, as_cell, from_cell, read_csv, write_csv, write_tsv

HOSTILE = [
    *('=HYPERLINK("http://x")', "+49 171", "-scan", "@SUM(A1)", "=", "-", "＝1+1"),
    *("'=1", "''=1", "'-5", "'quoted'", "it's", "\t=1", "\r=1", "'\t=1"),
    *(
        "two\nlines",
        "a\r\nb",
        "bell\x07",
        "\x00",
        "\x7f\x85",
        "\\",
        "\\\n",
        "C:\\new\\x0a",
        "\\x5c",
        "\\x5cx0a",
        "\\udcff\udcff",
    ),
    *('a "b", c', "a;b", " padded ", "-5", "+3.5e-2", ".5", "1,5", "ä 脳 🧠"),
]


def test_numbers_are_rounded_and_missing_values_are_empty(tmp_path):
    row = ("a, b", 3, 2 / 3, math.nan, 1.23456e-9, -1e-3, 0.0)
    path = write_csv(tmp_path / "new" / "t.csv", [*"abcdefg"], [row], decimals=6)
    assert path.read_bytes() == b'a,b,c,d,e,f,g\r\n"a, b",3,0.666667,,1.235e-09,-0.001,0.0\r\n'


def test_without_decimals_numbers_are_written_in_full(tmp_path):
    path = write_csv(tmp_path / "t.csv", "abcd", [(2 / 3, None, np.int64(-3), np.float64(0.1))])
    assert path.read_text().splitlines()[1] == "0.6666666666666666,,-3,0.1"


def test_bids_has_tabs(tmp_path):
    path = write_tsv(tmp_path / "t.tsv", ["name", "b"], [("a, b", 3), ("tab\there", "n/a"), ("=1+1", 0.5)])
    assert path.read_bytes() == b"name\tb\na, b\t3\ntab\\x09here\tn/a\n'=1+1\t0.5\n"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="expected to write"):
        write_csv(tmp_path / "file" / "t.csv", ["a"], [])


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_read_as_it_was_written(tmp_path, text):
    path = write_csv(tmp_path / "t.csv", ["name", text + "!"], [(text, 1), ("last", 2)])
    table = read_csv(path)
    assert table.columns == ("name", text + "!")
    assert [row["name"] for row in table.rows] == [text, "last"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula_or_holds_control_characters(text):
    cell = as_cell(text)
    is_number = cell in ("-5", "+3.5e-2")
    assert is_number or cell[0] not in "=+-@＝＋－＠\t\r"
    assert all(character.isprintable() for character in cell)
    assert from_cell(cell) == text


@pytest.mark.parametrize(
    "text", ["head_001", "Left-Hippocampus", "/data/a b/head.nii.gz", "C:\\scans\\head.nii", "-1.5"]
)
def test_ordinary_text_is_written_as_it_is(text):
    assert as_cell(text) == text


def test_cells_of_a_spreadsheet(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfscan,dice,,\r\n"a, b",0.5,,\r\n\r\n,,,\r\nc,,\r\n')
    table = read_csv(path, ["scan"])
    assert table.columns == ("scan", "dice")
    assert table.rows == ({"scan": "a, b", "dice": "0.5"}, {"scan": "c", "dice": ""})
    assert table.numbers == (2, 5)


def test_short_rows_are_filled_where_allowed(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1\n")
    assert read_csv(tmp_path / "t.csv", allow_short_rows=True).rows == ({"a": "1", "b": "", "c": ""},)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "scan,dice\nköpf,1\n".encode("latin-1"),
            r"got an encoding other than UTF-8, .*Latin-1 \(byte 0xf6 in line 2\)",
        ),
        ("scan,dice\na,1\n".encode("utf-16"), "got text in UTF-16; save it as 'CSV UTF-8'"),
        ("scan,dice\na,1\n".encode("utf-16-le"), "got a file with NUL bytes"),
        (b"scan,dice\na\0,1\n", "got a file with NUL bytes"),
        (b"scan,dice\n" + 200_000 * b"a" + b",1\n", "got an error in row 2: field larger than field limit"),
        (b'scan,dice\n"a,1\nb,2\n', "got an error in row 2: unexpected end of data"),
        (b"scan;dice\na;1\n", "got no column scan, dice among scan;dice; name the columns .* commas between them"),
        (b"", "got no column scan, dice in an empty file"),
        (b"scan,dice,scan\na,1,b\n", "got several columns with the name 'scan'; rename or remove"),
        (b"scan,dice\na\n", "got 1 cells in row 2 for 2 columns; correct the row"),
        (b"scan,dice\nb,2\na,1,mine\n", "got 3 cells in row 3 for 2 columns; correct the row"),
    ],
)
def test_errors_name_file_and_cause(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=rf"t\.csv: expected a table of scans, {message}") as raised:
        read_csv(path, ["scan", "dice"], "a table of scans")
    assert raised.value.file == path
    assert path.read_bytes() == content


def test_only_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for name, received in (("pipe.csv", "a pipe"), (".", "a folder"), ("none.csv", "no such file")):
        with pytest.raises(TableError, match=f"expected a table, got {received}; check the path"):
            read_csv(tmp_path / name)
