import math

import pytest

from recalib_keras.core.errors import WriteError
from recalib_keras.evaluation.tables import write_table


def test_numbers_are_rounded_and_what_is_missing_is_empty(tmp_path):
    row = ("a, b", 3, 2 / 3, math.nan, 1.23456e-9, -1e-3, 0.0)
    path = write_table(tmp_path / "new" / "t.csv", [*"abcdefg"], [row])
    assert path.read_text() == 'a,b,c,d,e,f,g\n"a, b",3,0.666667,,1.235e-09,-0.001,0.0\n'


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="expected to write"):
        write_table(tmp_path / "file" / "t.csv", ["a"], [])
