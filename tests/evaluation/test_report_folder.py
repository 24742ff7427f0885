import numpy as np
import pytest

from recalib_keras.evaluation import (
    Case,
    Report,
    evaluate,
    find_report,
    unnamed_structures,
    write_figures,
    write_tables,
)


@pytest.fixture
def cases(blobs, volume):
    """Three scans, the later the worse."""

    def case(index):
        truth = blobs(seed=index)
        prediction = np.roll(truth, index, axis=0)
        return Case(f"scan_{index}", lambda: (volume(prediction), volume(truth)), lambda: volume(truth.astype("f4")))

    return [case(index) for index in range(3)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_tables_are_found_again(tmp_path, cases):
    report = evaluate(cases)
    write_tables(report, tmp_path / "new")
    assert names(tmp_path / "new") == ["report.csv", "summary.csv"]
    for path in (tmp_path / "new", tmp_path / "new" / "report.csv"):
        found = find_report(path)
        assert isinstance(found, Report) and found.scans == report.scans


def test_figures_and_panels(tmp_path, cases):
    write_figures(evaluate(cases), tmp_path, unnamed_structures([1, 2, 3]), cases)
    assert names(tmp_path) == ["bland_altman.png", "boxplots.png", "panels.png", "volumes.png"]


def test_figures_for_print(tmp_path, cases):
    write_figures(evaluate(cases), tmp_path, unnamed_structures([1, 2, 3]), cases, format="svg")
    assert names(tmp_path) == ["bland_altman.svg", "boxplots.svg", "panels.svg", "volumes.svg"]
    with pytest.raises(ValueError, match="expected a format of pictures of png, svg, pdf, got 'jpg'; choose one"):
        write_figures(evaluate(cases), tmp_path, unnamed_structures([1, 2, 3]), cases, format="jpg")


def test_without_images_there_are_no_panels(tmp_path, cases):
    without = [Case(case.name, case.read_maps) for case in cases]
    write_figures(evaluate(cases), tmp_path, unnamed_structures([1, 2, 3]), without)
    assert names(tmp_path) == ["bland_altman.png", "boxplots.png", "volumes.png"]


def test_a_folder_without_a_report(tmp_path):
    with pytest.raises(
        ValueError, match=r"report\.csv: expected a table as `recalib evaluate -o` writes it, got no such"
    ):
        find_report(tmp_path)
