import nibabel as nib
import numpy as np
import pytest
from synthesis.heads import TABLE

from recalib_keras.synthesis import LabelMaps
from recalib_keras.synthesis.label_maps import bounds
from recalib_keras.volumes import VolumeError


def write(path, indices, orientation="LIA", dtype="int32", spacing=1.0):
    """Writes a map given as indices along RAS, with the numbers of the table, in another orientation."""
    numbers = TABLE.numbers[indices].astype(dtype)
    image = nib.Nifti1Image(numbers, np.diag([spacing, spacing, spacing, 1.0]), dtype=dtype)
    image.set_sform(image.affine, code=1)
    wanted = nib.orientations.axcodes2ornt(orientation)
    nib.save(image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted)), path)
    return path


@pytest.mark.parametrize("dtype", ["int32", "float32", "uint16", "uint64"])
def test_maps_are_turned_cropped_and_filled_up(tmp_path, dtype):
    large = np.zeros((9, 8, 10), int)
    large[2:7, 1:7, 3:10] = 4
    large[3:5, 2:4, 5:9] = 1
    small = np.zeros((6, 6, 6), int)
    small[1, 2, 3] = 3
    files = [write(tmp_path / "b.nii.gz", large, dtype=dtype), write(tmp_path / "a.nii", small, "RAS", dtype)]
    maps = LabelMaps.read(files, TABLE)
    assert maps.files == tuple(files) and len(maps) == 2 and maps.arrays.dtype == "uint8"
    assert maps.arrays.shape == (2, 5, 6, 7) and maps.spacing == (1, 1, 1)
    assert np.array_equal(maps.arrays[0], large[2:7, 1:7, 3:10])
    assert maps.arrays[1, 0, 0, 0] == 3 and np.count_nonzero(maps.arrays[1]) == 1
    assert maps.heads.tolist() == [[5, 6, 7], [1, 1, 1]]
    assert maps.centres.tolist() == [[1.5, 1.5, 3.5], [0, 0, 0]]


def test_another_orientation_turns_the_axes(tmp_path):
    indices = np.zeros((4, 5, 6), int)
    indices[1:, 2:, 1:] = 4
    indices[1, 2, 1] = 1
    path = write(tmp_path / "a.nii.gz", indices)
    assert np.array_equal(LabelMaps.read([path], TABLE, "LIA").arrays[0], indices[:0:-1, 2:, :0:-1].transpose(0, 2, 1))


def test_folders_are_read_in_the_order_of_names(tmp_path):
    one = np.ones((2, 2, 2), int)
    for name in ("b.nii.gz", "a.nii", "notes.txt"):
        write(tmp_path / name, one) if name != "notes.txt" else (tmp_path / name).write_text("x", encoding="utf-8")
    assert [path.name for path in LabelMaps.read([tmp_path], TABLE).files] == ["a.nii", "b.nii.gz"]


def test_maps_that_cannot_be_used_are_errors(tmp_path):
    def refused(message, *maps, numbers=None):
        files = [write(tmp_path / f"{i}.nii", indices, spacing=mm) for i, (indices, mm) in enumerate(maps)]
        if numbers is not None:
            nib.save(nib.Nifti1Image(np.full((2, 2, 2), numbers, "int16"), np.eye(4)), files[0])
        with pytest.raises(VolumeError, match=message):
            LabelMaps.read(files or [tmp_path / "empty"], TABLE)

    ones = np.ones((2, 2, 2), int)
    (tmp_path / "empty").mkdir()
    refused("in .*empty, got none; name the files")
    with pytest.raises(VolumeError, match="nowhere: expected label maps, got no such file or folder"):
        LabelMaps.read([tmp_path / "nowhere"], TABLE)
    refused("0.nii: expected a label map of a head, got only background", (ones * 0, 1.0))
    refused("none of the structures", (ones * 4, 1.0))
    refused(r"1.nii: expected voxels of \(1.0, 1.0, 1.0\) mm, as in .*0.nii, got", (ones, 1.0), (ones, 2.0))
    for number in (3, 900, -1):  # between the table's numbers, beyond, before
        refused(rf"expected only labels of the table, got \[{number}\] too", (ones, 1.0), numbers=number)


def test_bounds():
    mask = np.zeros((5, 6), bool)
    mask[1, 2] = mask[3, 5] = True
    assert bounds(mask).tolist() == [[1, 3], [2, 5]]


def test_real_heads(brains, brain_table):
    assert brains.arrays.dtype == "uint8" and brains.spacing == (1, 1, 1)
    present = brain_table.numbers[np.unique(brains.arrays)]
    assert {2, 41, 17, 53, 507} <= set(present.tolist())
    for array, centre, size in zip(brains.arrays, brains.centres, brains.heads):
        left, right = (np.argwhere(brain_table.numbers[array] == number)[:, 0].mean() for number in (2, 41))
        assert left < centre[0] < right  # along RAS, x grows to the right
        assert (size > (140, 190, 150)).all() and (size < (190, 250, 256)).all()
