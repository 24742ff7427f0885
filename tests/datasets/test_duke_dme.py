import numpy as np
import pytest
from scipy.io import savemat

from recalib_keras.datasets import DatasetError, check, find_scans, split, survey
from recalib_keras.datasets.sets.duke_dme import bridged, drawn_columns, label_rows

ROWS, COLUMNS, B_SCANS = 20, 12, 6
ANNOTATED = (1, 4)
# Of the columns, boundaries are drawn in these.
FIRST, LAST = 3, 9


def subject(rng):
    """Returns the arrays of a subject, named and shaped like the organisers'."""
    images = rng.integers(0, 256, (ROWS, COLUMNS, B_SCANS)).astype(np.uint8)
    layers = np.full((8, COLUMNS, B_SCANS), np.nan)
    fluid = np.full((ROWS, COLUMNS, B_SCANS), np.nan)
    for index in ANNOTATED:
        layers[:, FIRST : LAST + 1, index] = np.arange(3, 19, 2)[:, None]  # rows 3, 5, ..., 17, counted from 1
        fluid[:, :, index] = 0
    fluid[7:9, 5, 1] = 2  # the second of the fluid-filled regions
    return {"images": images, "manualLayers1": layers, "manualFluid1": fluid, "manualLayers2": layers * np.nan}


@pytest.fixture
def write_subject(tmp_path, rng):
    """Returns a function that writes a subject's file and returns what is in it."""

    def write(number=1, folder=tmp_path, skip=(), **changed):
        folder.mkdir(exist_ok=True)
        content = {name: array for name, array in (subject(rng) | changed).items() if name not in skip}
        savemat(folder / f"Subject_{number:02}.mat", content, do_compression=True)
        return content

    return write


def test_each_annotated_b_scan_is_a_scan_and_each_subject_a_patient(write_subject, tmp_path):
    write_subject(1)
    write_subject(2)
    scans = find_scans(tmp_path, "duke_dme")
    assert [(scan.name, scan.patient, scan.volume) for scan in scans] == [
        ("Subject_01_02", "Subject_01", 1),
        ("Subject_01_05", "Subject_01", 4),
        ("Subject_02_02", "Subject_02", 1),
        ("Subject_02_05", "Subject_02", 4),
    ]
    training, validation = split(scans, every=2)
    assert {scan.patient for scan in validation} == {"Subject_01"} and len(training) == len(validation) == 2


def test_image_and_labels(write_subject, tmp_path):
    content = write_subject()
    found = survey(tmp_path, "duke_dme")
    image, labels = found.scans[0].read()
    width = LAST - FIRST + 1
    assert image.array.shape == labels.array.shape == (width, ROWS, 1) and image.array.dtype == np.float32
    np.testing.assert_array_equal(image.array[:, :, 0].T, content["images"][:, FIRST : LAST + 1, 1])
    # By hand: background above row 3, layers of two rows each, background again from row 17 on.
    column = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 0, 0, 0, 0]
    assert labels.array[0, :, 0].tolist() == column
    fluid = labels.array[5 - FIRST, :, 0].tolist()
    assert fluid == [*column[:7], 8, 8, *column[9:]]
    assert check(found.scans, found.labels) == []


def test_a_b_scan_stands_at_its_place_in_the_eye(write_subject, tmp_path):
    write_subject()
    first, second = (scan.read()[0].grid for scan in find_scans(tmp_path, "duke_dme"))
    assert first.spacing == pytest.approx((0.01146, 0.00387, 0.123)) and first.orientation == "RPS"
    assert (first.affine @ (0, 0, 0, 1))[:3] == pytest.approx((FIRST * 0.01146, 0, 0.123))
    assert (second.affine @ (0, 2, 0, 1))[:3] == pytest.approx((FIRST * 0.01146, -2 * 0.00387, 4 * 0.123))


def test_gaps_between_drawn_columns_are_bridged():
    row = np.array([np.nan, 2.0, np.nan, np.nan, 5, np.nan])
    boundaries = np.stack([row, row + 1])
    assert drawn_columns(boundaries) == slice(1, 5)
    np.testing.assert_array_equal(bridged(boundaries[:, 1:5]), [[2, 3, 4, 5], [3, 4, 5, 6]])
    assert drawn_columns(np.stack([row, np.roll(row, 1)])) is None


def test_a_pixel_on_a_boundary_belongs_to_the_layer_below():
    boundaries = np.array([1.0, 2, 2, 3.5, 4, 5, 6, 7])[:, None]
    # Rows 1 to 8: the layer between two equal boundaries is empty; row 3 lies above 3.5, row 4 on the fifth boundary.
    assert label_rows(boundaries, 8)[0].tolist() == [1, 3, 3, 5, 6, 7, 0, 0]


def test_the_archives_own_folder_will_do(write_subject, tmp_path):
    write_subject(folder=tmp_path / "2015_BOE_Chiu")
    assert len(find_scans(tmp_path, "duke_dme")) == len(find_scans(tmp_path / "2015_BOE_Chiu", "duke_dme")) == 2


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"skip": ["manualFluid1"]}, "expected the variable manualFluid1, got a file without it"),
        ({"manualFluid1": np.zeros((3, 3))}, "expected manualFluid1 to have three axes of numbers"),
        ({"manualFluid1": np.zeros((ROWS, COLUMNS, 3))}, r"manualFluid1 of shape \(20, 12, 6\), got \(20, 12, 3\)"),
        ({"images": np.zeros((ROWS, 5, B_SCANS))}, r"manualLayers1 of shape \(8, 5, 6\), got \(8, 12, 6\)"),
    ],
)
def test_what_is_wrong_with_the_arrays(changed, expected, write_subject, tmp_path):
    write_subject(**changed)
    scans = find_scans(tmp_path, "duke_dme")
    with pytest.raises(DatasetError, match=expected):
        scans[0].read()
    assert len(check(scans)) == 2


def test_files_without_boundaries_and_damaged_ones(write_subject, tmp_path):
    write_subject(1)
    write_subject(2, skip=["manualLayers1"])
    write_subject(3, manualLayers1=np.full((8, COLUMNS, B_SCANS), np.nan))
    (tmp_path / "Subject_04.mat").write_bytes(b"MATLAB 5.0 MAT-file, broken")
    (tmp_path / "Subject_05.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    found = survey(tmp_path, "duke_dme")
    assert [scan.patient for scan in found.scans] == ["Subject_01"] * 2
    assert [problem.file.stem for problem in found.problems] == [f"Subject_0{number}" for number in range(2, 6)]
    expected = ["the variable manualLayers1", "boundaries in manualLayers1", "a MATLAB file", "save it with '-v7'"]
    assert [word in str(problem) for word, problem in zip(expected, found.problems)] == [True] * 4


def test_a_file_that_changes_is_read_again(write_subject, tmp_path):
    write_subject()
    scan = find_scans(tmp_path, "duke_dme")[0]
    scan.read()
    write_subject(manualLayers1=np.full((8, COLUMNS, B_SCANS), np.nan))
    with pytest.raises(DatasetError, match="expected boundaries in B-scan 2, got none"):
        scan.read()


def test_another_folder(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected Subject_01.mat, Subject_02.mat, ... in .*, got none of them"
    ):
        find_scans(tmp_path, "duke_dme")
