import shutil

import numpy as np
import pytest

from recalib_keras.datasets import DatasetError, check, describe, find_scans, survey

ROWS, COLUMNS, SLICES = 6, 4, 5
# Where the slices lie, in the order of their files' names: as CHAOS warns, the names are in no order of places.
PLACES = [30, 21, 33, 24, 27]
PARTS = {
    "ct": ("CT", "DICOM_anon", "Ground"),
    "mr_t1in": ("MR", "T1DUAL/DICOM_anon/InPhase", "T1DUAL/Ground"),
    "mr_t1out": ("MR", "T1DUAL/DICOM_anon/OutPhase", "T1DUAL/Ground"),
    "mr_t2": ("MR", "T2SPIR/DICOM_anon", "T2SPIR/Ground"),
}


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 3000, (SLICES, ROWS, COLUMNS)).astype(np.uint16)


@pytest.fixture
def write_case(tmp_path, write_series, write_png, pixels):
    """Returns a function that writes a patient: a DICOM series, and for each slice by name a mask."""

    def write(sequence, masks, case="1", places=PLACES, root=tmp_path / "Train_Sets"):
        patients, images, ground = PARTS[sequence]
        folder = root / patients / case
        # Of the T1 phases one has even numbers, the other odd ones; the masks have those of the first.
        step = 2 if sequence == "mr_t1out" else 1
        stems = [f"IMG-0004-{number * step + 1:05}" for number in range(len(places))]
        write_series(folder / images, pixels, places, [f"{stem}.dcm" for stem in stems])
        for number, mask in enumerate(masks):
            name = f"liver_GT_{number:03}.png" if sequence == "ct" else f"IMG-0004-{2 * number + 2:05}.png"
            write_png(folder / ground / name, mask)
        return tmp_path

    return write


def marked(value, dtype=np.uint8):
    """Returns masks of which the i-th has a column of i + 1 pixels, from the top, in its column i modulo the width."""
    masks = np.zeros((SLICES, ROWS, COLUMNS), dtype)
    for index, mask in enumerate(masks):
        mask[: index + 1, index % COLUMNS] = value
    return masks


@pytest.mark.parametrize(("sequence", "value", "label"), [("ct", 255, 1), ("mr_t1in", 63, 1), ("mr_t1out", 126, 2),
                                                    ("mr_t2", 252, 4)])  # fmt: skip
def test_each_mask_lies_on_its_slice(sequence, value, label, write_case, pixels):
    masks = marked(value)
    found = survey(write_case(sequence, masks), f"chaos/{sequence}")
    image, labels = found.scans[0].read()
    assert image.array.shape == labels.array.shape == (COLUMNS, ROWS, SLICES)
    by_place = np.argsort(PLACES)
    for index, number in enumerate(by_place):
        # The slice's own pixels, and its own mask, at its own place: rows run along the second axis.
        np.testing.assert_array_equal(image.array[:, :, index].T, pixels[number] - 1024.0)
        np.testing.assert_array_equal(labels.array[:, :, index].T, np.where(masks[number], label, 0))
        assert (image.grid.affine @ (0, 0, index, 1))[2] == pytest.approx(PLACES[number])
    assert image.grid.spacing == pytest.approx((0.5, 0.75, 3)) and image.grid.orientation == "LPS"
    assert check(found.scans, found.labels) == []


def test_black_and_white_masks_are_the_liver(write_case):
    scan = find_scans(write_case("ct", marked(True, bool)), "chaos/ct")[0]
    assert np.count_nonzero(scan.read()[1].array) == 1 + 2 + 3 + 4 + 5


@pytest.mark.parametrize(
    ("level", "label"),
    [(0, 0), (55, 1), (70, 1), (110, 2), (135, 2), (175, 3), (200, 3), (240, 4), (255, 4),
     (54, None), (71, None), (109, None), (136, None), (174, None), (201, None), (239, None)],
)  # fmt: skip
def test_grey_levels_of_the_organs(level, label, write_case):
    masks = np.full((SLICES, ROWS, COLUMNS), level, np.uint8)
    found = survey(write_case("mr_t2", masks), "chaos/mr_t2")
    if label is None:
        with pytest.raises(DatasetError, match=rf"expected the grey levels 0, 55-70, .* 240-255, got \[{level}\] too"):
            found.scans[0].read()
        assert len(check(found.scans)) == SLICES
    else:
        assert (found.scans[0].read()[1].array == label).all()


def test_names_patients_and_labels(write_case):
    for case in ("2", "10"):
        write_case("mr_t1in", marked(63), case)
        folder = write_case("mr_t2", marked(63), case)
    t1, t2 = (find_scans(folder, f"chaos/{sequence}") for sequence in ("mr_t1in", "mr_t2"))
    assert [scan.name for scan in t1] == ["MR_02_t1in", "MR_10_t1in"]
    assert [scan.patient for scan in t1] == [scan.patient for scan in t2] == ["MR_02", "MR_10"]
    assert describe("chaos/mr_t2").labels == {
        0: "background",
        1: "liver",
        2: "right kidney",
        3: "left kidney",
        4: "spleen",
    }


@pytest.mark.parametrize("root", ["Train_Sets", "CHAOS_Train_Sets/Train_Sets", "."])
def test_the_folder_may_be_any_on_the_way(root, tmp_path, write_case):
    write_case("ct", marked(255), root=tmp_path / root)
    for folder in (tmp_path, tmp_path / root, tmp_path / root / "CT"):
        assert [scan.name for scan in find_scans(folder, "chaos/ct")] == ["CT_01"]


def test_numbers_in_names_are_sorted_as_numbers(write_case, tmp_path):
    folder = write_case("ct", marked(255)) / "Train_Sets" / "CT" / "1"
    for number in range(SLICES):
        (folder / "DICOM_anon" / f"IMG-0004-{number + 1:05}.dcm").rename(folder / "DICOM_anon" / f"i{number + 8}.dcm")
        (folder / "Ground" / f"liver_GT_{number:03}.png").rename(folder / "Ground" / f"liver_{number + 8}.png")
    labels = find_scans(tmp_path, "chaos/ct")[0].read()[1].array
    assert np.count_nonzero(labels, axis=(0, 1)).tolist() == (np.argsort(PLACES) + 1).tolist()


def test_other_files_are_skipped(write_case, tmp_path):
    folder = write_case("ct", marked(255)) / "Train_Sets" / "CT"
    (folder / "1" / "DICOM_anon" / "a_readme.txt").write_text("from the archive")
    (folder / "1" / "Ground" / "._liver_GT_000.png").write_bytes(b"macOS")
    (folder / "readme").mkdir()
    scans = find_scans(tmp_path, "chaos/ct")
    labels = scans[0].read()[1].array
    assert np.count_nonzero(labels, axis=(0, 1)).tolist() == (np.argsort(PLACES) + 1).tolist()


def test_too_few_masks(write_case):
    folder = write_case("ct", marked(255)[:4])
    problems = check(find_scans(folder, "chaos/ct"))
    (problem,) = problems
    assert "Ground: expected 5 masks, one for each slice, got 4; " in str(problem)


def test_where_a_slice_and_another_mask_are_missing(write_case, tmp_path):
    folder = write_case("mr_t2", marked(63)) / "Train_Sets/MR/1/T2SPIR"
    for number, path in enumerate(sorted((folder / "Ground").iterdir())):
        path.rename(folder / "Ground" / f"IMG-0004-{number + 1:05}.png")  # as the slices are named
    assert check(find_scans(tmp_path, "chaos/mr_t2")) == []
    (folder / "DICOM_anon" / "IMG-0004-00003.dcm").unlink()  # at one end of the body: no gap
    (folder / "Ground" / "IMG-0004-00005.png").unlink()
    problems = check(find_scans(tmp_path, "chaos/mr_t2"))
    assert [problem.file.name for problem in problems] == ["IMG-0004-00003.png", "IMG-0004-00004.png"]
    assert "expected a mask named like the slice it belongs to by order, IMG-0004-00004.dcm" in str(problems[0])


def test_every_bad_mask_is_reported(write_case, write_png, tmp_path):
    folder = write_case("ct", marked(255)) / "Train_Sets" / "CT" / "1" / "Ground"
    write_png(folder / "liver_GT_000.png", np.zeros((ROWS, COLUMNS + 1), np.uint8))
    write_png(folder / "liver_GT_001.png", np.full((ROWS, COLUMNS), 63, np.uint8))
    write_png(folder / "liver_GT_002.png", np.zeros((ROWS, COLUMNS, 3), np.uint8))
    (folder / "liver_GT_003.png").write_bytes(b"no picture")
    problems = check(find_scans(tmp_path, "chaos/ct"))
    assert [problem.file.name for problem in problems] == [f"liver_GT_00{number}.png" for number in range(4)]
    expected = ["got (5, 6)", "got [63] too", "mode 'RGB'", "a damaged file, or one of another format"]
    assert [word in str(problem) for word, problem in zip(expected, problems)] == [True] * 4


def test_bad_slices_hide_no_bad_mask(write_case, write_png, tmp_path):
    folder = write_case("ct", marked(255), places=[30, 21, 33, 24, 47])
    write_png(folder / "Train_Sets/CT/1/Ground/liver_GT_001.png", np.full((ROWS, COLUMNS), 63, np.uint8))
    problems = check(find_scans(folder, "chaos/ct"))
    assert len(problems) == 2 and "got a gap of 14.00 mm" in str(problems[0]) and "[63] too" in str(problems[1])


def test_a_damaged_slice_is_named_with_its_tag(write_case):
    folder = write_case("ct", marked(255))
    path = folder / "Train_Sets/CT/1/DICOM_anon/IMG-0004-00002.dcm"
    path.write_bytes(path.read_bytes().replace(b"0.75\\0.5", b"0.75\\abc"))
    problems = check(find_scans(folder, "chaos/ct"))
    assert [problem.file.name for problem in problems] == [path.name]
    assert "expected 2 numbers from 0.01 to 30 for PixelSpacing, got [0.75, abc]" in str(problems[0])


def test_slices_exported_twice_have_one_mask(write_case):
    folder = write_case("ct", marked(255))
    images = folder / "Train_Sets/CT/1/DICOM_anon"
    shutil.copy(images / "IMG-0004-00002.dcm", images / "IMG-0004-00002 (1).dcm")
    labels = find_scans(folder, "chaos/ct")[0].read()[1].array
    assert np.count_nonzero(labels, axis=(0, 1)).tolist() == (np.argsort(PLACES) + 1).tolist()


def test_a_missing_folder_is_reported(write_case):
    folder = write_case("mr_t2", marked(63))
    shutil.rmtree(folder / "Train_Sets/MR/1/T2SPIR/Ground")
    write_case("mr_t2", marked(63), case="2")
    found = survey(folder, "chaos/mr_t2")
    assert "MR/1/T2SPIR/Ground: expected a folder of masks, got none" in str(found.problems[0])
    assert [scan.name for scan in found.scans] == ["MR_02_t2"]


def test_masks_that_vanish_are_reported(write_case):
    folder = write_case("ct", marked(255))
    scan = find_scans(folder, "chaos/ct")[0]
    shutil.rmtree(scan.labels)
    assert check([scan])[0].file == scan.labels


@pytest.mark.parametrize("make", [False, True])
def test_another_folder(make, tmp_path):
    if make:
        (tmp_path / "Train_Sets" / "CT").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="expected Train_Sets/CT with a numbered folder for each patient in"):
        find_scans(tmp_path, "chaos/ct")


def test_without_pillow_the_error_names_the_command(write_case, monkeypatch):
    scan = find_scans(write_case("ct", marked(255)), "chaos/ct")[0]
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[datasets\]"'):
        scan.read()


def test_a_real_series(data_root, tmp_path, write_png):
    """The real CT, its masks made of a threshold: bone must be where the series has its highest values."""
    pydicom = pytest.importorskip("pydicom")
    case = tmp_path / "CT" / "1"
    shutil.copytree(data_root / "ct_example" / "dicom", case / "DICOM_anon")
    files = sorted((case / "DICOM_anon").iterdir())
    order = np.random.default_rng(3).permutation(len(files))
    for number, index in enumerate(order):  # new names, in no order of places
        files[index].rename(case / "DICOM_anon" / f"i{number:04},0000b.dcm")
    for number, path in enumerate(sorted((case / "DICOM_anon").iterdir())):
        slice_ = pydicom.dcmread(path)
        dense = slice_.pixel_array * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept) > 200
        write_png(case / "Ground" / f"liver_GT_{number:03}.png", dense)
    image, labels = find_scans(tmp_path, "chaos/ct")[0].read()
    assert image.array.shape == (512, 512, 20) and labels.array.any()
    np.testing.assert_array_equal(labels.array == 1, image.array > 200)
