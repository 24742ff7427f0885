import numpy as np
import pytest
from made_series import SLICES, dicom_slice, pydicom, refused

from recalib_keras.volumes import VolumeError, read
from recalib_keras.volumes.dicom.tags import tag_items, tag_value


def raw(keyword, vr, value):
    """Make a dataset whose value pydicom has not converted yet, as after reading a file."""
    tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(keyword))
    dataset = pydicom.Dataset()
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(value), value, 0, False, True)
    return dataset


@pytest.mark.parametrize(
    ("vr", "value", "received"),
    [
        ("DS", b"abc ", "abc"),
        ("DS", b"1,5 ", "1,5"),
        ("DS", b"nan ", "nan"),
        ("DS", b"inf ", "inf"),
        ("DS", b"1\\2 ", r"2: \[1, 2\]"),
        ("SQ", b"\xfe\xff\x00\xe0\x00\x00\x00\x00", "a sequence"),
        ("FD", b"abc", "damaged"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_number_names_file_and_tag(vr, value, received):
    expected = rf"^a\.dcm: RescaleSlope: expected .*, got .*({received})"
    with pytest.raises(VolumeError, match=expected) as caught:
        tag_value(raw("RescaleSlope", vr, value), "RescaleSlope", float, "a.dcm", default=1.0)
    assert (caught.value.file, caught.value.part) == ("a.dcm", "RescaleSlope")
    assert caught.value.remedy == "export the scan again, or correct this tag"


def test_values_by_kind_and_count():
    dataset = pydicom.Dataset()
    dataset.PixelSpacing, dataset.Rows, dataset.ImageType = ["0.5", "0.75"], 4, ["ORIGINAL", "PRIMARY"]
    assert tag_value(dataset, "PixelSpacing", float, "a", count=2) == (0.5, 0.75)
    assert tag_value(dataset, "Rows", int, "a") == 4
    assert tag_value(dataset, "ImageType", str, "a", count=None) == ("ORIGINAL", "PRIMARY")
    with pytest.raises(VolumeError, match=r"a: PixelSpacing: expected 3 numbers, got 2: \[0\.5, 0\.75\]"):
        tag_value(dataset, "PixelSpacing", float, "a", count=3)
    with pytest.raises(VolumeError, match="a: Rows: expected a whole number from 5 to 9, got 4"):
        tag_value(dataset, "Rows", int, "a", bounds=(5, 9))


def test_missing_and_empty_values():
    dataset = pydicom.Dataset()
    dataset.RescaleSlope = None
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        assert tag_value(dataset, keyword, float, "a", default=1.0) == 1.0
        with pytest.raises(VolumeError, match=f"a: {keyword}: expected a number, got none"):
            tag_value(dataset, keyword, float, "a")


def test_items_of_a_sequence():
    dataset = pydicom.Dataset()
    assert len(tag_items(dataset, "PlanePositionSequence", "a")) == 0
    dataset.PlanePositionSequence = [pydicom.Dataset()]
    assert len(tag_items(dataset, "PlanePositionSequence", "a")) == 1
    dataset.Rows = 4
    with pytest.raises(VolumeError, match="a: Rows: expected a sequence of datasets, got 4"):
        tag_items(dataset, "Rows", "a")


# Tag by tag: what a damaged value in one slice of a series gives

NUMBERS = {
    "ImagePositionPatient": ([b"a\\b\\c", b"1\\2", b"1\\2\\nan", b"1\\2\\1e999"], True),
    "ImageOrientationPatient": ([b"1\\0\\0", b"1\\0\\0\\0\\x\\0", b"2\\0\\0\\0\\1\\0", b"1\\0\\0\\1\\0\\0"], True),
    "PixelSpacing": ([b"1", b"1\\", b"0\\0", b"-1\\-1", b"inf\\1", b"1\\1\\1"], True),
    "RescaleSlope": ([b"abc", b"0", b"1\\2", b"1e999", b"nan"], True),
    "RescaleIntercept": ([b"--", b"-inf"], True),
    "InstanceNumber": ([b"abc", b"1\\2"], False),  # advises only
    "EchoTime": ([b"abc"], False),  # distinguishes volumes, of which there is one
}


@pytest.mark.parametrize(("tag", "value"), [(tag, value) for tag, (values, _) in NUMBERS.items() for value in values])
def test_a_damaged_value_in_one_slice(tag, value, series, pixels):
    folder = series()
    path = folder / "IM5"
    dataset = dicom_slice(1, pixels[1])
    key = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(tag))
    value += b" " * (len(value) % 2)
    vr = pydicom.datadict.dictionary_VR(key)
    dataset.add_new(key, "LO", value.decode())
    meta_free(dataset, key, vr, path)
    if NUMBERS[tag][1]:
        error = refused(f"IM5: {tag}: expected|expected slices", folder)
        assert str(error.file) in (str(path), str(folder))
    else:
        assert read(folder).array.shape[2] == SLICES


def meta_free(dataset, key, vr, path):
    """Write a dataset whose value does not fit its kind: stored as a text, its kind then set in the file's bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "writing_validation_mode", 0)
        dataset.save_as(path, enforce_file_format=True)
    start = bytes(np.array([key.group, key.element], "<u2"))
    content = path.read_bytes()
    assert content.count(start + b"LO") == 1
    path.write_bytes(content.replace(start + b"LO", start + vr.encode()))
