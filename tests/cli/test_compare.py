import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from recalib_keras.cli import main as cli
from recalib_keras.cli.compare import COLUMNS
from recalib_keras.evaluation import Measures, Report, Row


@pytest.fixture
def compare():
    """Runs the command in this process."""
    return lambda *arguments: cli.main(["compare", *map(str, arguments)])


def write(path, gain=0.0, scans=range(10), structures=("liver", "spleen"), seed=0):
    """Writes a report of Dice values between 0.7 and 0.8, plus a gain."""
    rng = np.random.default_rng(seed)
    rows = []
    for scan in scans:
        for label, structure in enumerate(structures, start=1):
            dice = 0.7 + gain + 0.1 * rng.uniform()
            rows.append(Row(f"scan_{scan}", structure, label, Measures(dice, dice, 1.0, 1.0, 10.0, 10.0)))
    return Report(tuple(rows)).write(path)


def test_a_table_for_each_structure_and_the_mean(compare, tmp_path, capsys):
    reports = [
        write(tmp_path / f"{name}.csv", gain, seed=seed) for seed, (name, gain) in enumerate((("a", 0), ("b", 0.1)))
    ]
    assert compare(*reports) == 0
    liver, spleen, mean = capsys.readouterr().out.split("\n\n")
    for table, title in ((liver, "liver"), (spleen, "spleen"), (mean, "mean of structures")):
        lines = table.strip().splitlines()
        assert lines[0] == f"{title}: Dice, intervals of 95 %"
        assert lines[1].split() == [word for column in COLUMNS for word in column.split()]
        assert lines[2].startswith("a → b  10     0.7")
        # All ten differences are positive: effect 1, p = 2 / 2¹⁰ = 0.00195.
        assert "+1.00   0.0020" in lines[2]
        assert len(lines) == 3


def test_folders_of_evaluate(compare, tmp_path, capsys):
    write(tmp_path / "unet3d" / "report.csv", seed=1)
    write(tmp_path / "densenet.3d" / "report.csv", seed=2)
    assert compare(tmp_path / "unet3d", tmp_path / "densenet.3d") == 0
    assert "unet3d → densenet.3d" in capsys.readouterr().out
    assert compare(tmp_path / "unet3d" / "report.csv", tmp_path / "densenet.3d" / "report.csv") == 0
    assert "unet3d → densenet.3d" in capsys.readouterr().out


def test_reports_with_the_same_name(compare, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x" / "dice.csv", seed=1)
    write(tmp_path / "y" / "dice.csv", seed=2)
    assert compare("x/dice.csv", "y/dice.csv") == 0
    assert f"x{os.sep}dice.csv → y{os.sep}dice.csv" in capsys.readouterr().out


def test_several_reports_and_measures(compare, tmp_path, capsys):
    reports = [write(tmp_path / f"{name}.csv", seed=seed) for seed, name in enumerate("abc")]
    table, picture = tmp_path / "new" / "table.csv", tmp_path / "new" / "boxes.png"
    arguments = ("--measures", "dice", "hd95_mm", "-o", table, "--boxplots", picture)
    assert compare(*reports, *arguments) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 2 * 3 * 3  # measures, structures with their mean, pairs
    assert {(row["first"], row["second"]) for row in rows} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert rows[-1]["remark"] == "all differences are zero"
    output = capsys.readouterr().out
    assert "liver: HD95 (mm), intervals of 95 %" in output and "all differences are zero" in output
    assert f"comparison in {table}" in output
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_scans_and_structures_in_one_report_only_are_listed(compare, tmp_path, capsys):
    a = write(tmp_path / "a.csv", scans=range(20), structures=("liver", "spleen", "aorta"))
    assert compare(a, write(tmp_path / "b.csv", scans=range(8, 20), seed=1)) == 0
    output = capsys.readouterr()
    assert output.err == (
        "recalib compare: a: 8 of 20 scans are not in all reports and are excluded: "
        "scan_0, scan_1, scan_2, scan_3, scan_4 and 3 more\n"
        "recalib compare: a: 1 of 3 structures are not in all reports and are excluded: aorta\n"
    )
    assert "a → b  12 " in output.out and "aorta" not in output.out


def test_too_few_scans(compare, tmp_path, capsys):
    reports = [write(tmp_path / f"{name}.csv", scans=range(5), seed=seed) for seed, name in enumerate("ab")]
    assert compare(*reports) == 0
    assert capsys.readouterr().out.count("–  –         no test: 5 pairs, fewer than 6") == 3


def test_the_seed_sets_the_intervals(compare, tmp_path, capsys):
    reports = [write(tmp_path / f"{name}.csv", seed=seed) for seed, name in enumerate("ab")]
    outputs = []
    for seed in (0, 0, 1):
        assert compare(*reports, "--seed", seed, "--resamples", 200) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]
    assert compare(*reports, "--confidence", "0.5") == 0
    assert "intervals of 50 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv"], "expected two reports or more to compare, got one"),
        (["a.csv", "./a.csv"], "expected different reports, got one of them twice"),
        (["a.csv", "none.csv"], "none.csv"),
        (["a.csv", "other.csv"], "expected a table as `recalib evaluate -o` writes it"),
        (["a.csv", "high.csv"], "high.csv: expected a number from 0 to 1 or an empty cell in column dice, got '1.7"),
        (["a.csv", "elsewhere.csv"], "expected reports of the same scans, got none"),
        (["a.csv", "b.csv", "--measures", "dise"], "expected `measure` to be one of dice"),
        (["a.csv", "b.csv", "--confidence", "95"], "expected --confidence between 0 and 1, got 95.0"),
        (["a.csv", "b.csv", "--resamples", "0"], "expected --resamples of 1 or more, got 0"),
        (["a.csv", "b.csv", "--seed", "-1"], "expected --seed of 0 or more, got -1"),
    ],
)
def test_bad_input(compare, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.csv")
    write(tmp_path / "b.csv", seed=1)
    write(tmp_path / "elsewhere.csv", scans=range(100, 110))
    write(tmp_path / "high.csv", gain=1.0)
    (tmp_path / "other.csv").write_text("scan,structure,label,voxels,mm3\n")
    assert compare(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_compare_without_matplotlib(compare, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    reports = [write(tmp_path / f"{name}.csv", seed=seed) for seed, name in enumerate("ab")]
    assert compare(*reports, "--boxplots", tmp_path / "boxes.png") == 2
    assert 'pip install "recalib-keras[figures]"' in capsys.readouterr().err


def test_keras_is_not_loaded(tmp_path):
    paths = [str(write(tmp_path / f"{name}.csv", seed=seed)) for seed, name in enumerate("ab")]
    script = (
        "import sys; from recalib_keras.cli import main as cli\n"
        f"assert cli.main(['compare', *{paths!r}]) == 0\n"
        "sys.exit('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0
