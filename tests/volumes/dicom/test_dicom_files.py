import zlib

import numpy as np
import pytest
from made_series import SLICES, dicom_slice, pydicom, refused, write

from recalib_keras.volumes import read
from recalib_keras.volumes.dicom import files


def without_preamble(path, implicit=True, little=True):
    dataset = pydicom.dcmread(path)
    bare = pydicom.Dataset()
    bare.update({element.tag: element for element in dataset})
    if not little:
        bare.PixelData = np.frombuffer(bare.PixelData, "<i2").astype(">i2").tobytes()
    bare.save_as(path, implicit_vr=implicit, little_endian=little, enforce_file_format=False)


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("count", [2, SLICES])
def test_files_without_preamble_are_read(series, pixels, implicit, little, count):
    folder = series()
    for path in sorted(folder.iterdir())[:count]:
        without_preamble(path, implicit, little)
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


def test_files_that_begin_with_their_meta_header_are_read(series, pixels):
    folder = series()
    path = folder / "IM0"
    path.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


@pytest.mark.parametrize("content", [b"", b"not found", bytes(600), b"<html>" * 90])
@pytest.mark.parametrize("name", ["IM9", "slice.dcm", "slice.IMA"])
def test_a_file_named_like_a_slice_must_be_one(series, name, content):
    folder = series()
    (folder / name).write_bytes(content)
    error = refused(f"{name}: expected a DICOM file, got one that cannot be read", folder)
    assert "move it out of the folder if it is not a slice" in error.remedy


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes", b""),
        ("README.txt", b"from the archive"),
        ("._IM0", bytes([0, 5, 22, 7]) * 50),
        ("._IM0.dcm", bytes([0, 5, 22, 7]) * 50),
        ("IM1.jpg", b"\xff\xd8\xff\xe0" + bytes(200)),
        ("IM1.png", b"\x89PNG\r\n\x1a\n" + bytes(200)),
        ("scan.nii", (348).to_bytes(4, "little") + bytes(500)),
    ],
)
def test_files_of_other_kinds_are_ignored(series, pixels, name, content):
    folder = series()
    (folder / name).write_bytes(content)
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


def test_a_file_with_the_ending_of_dicom_alone(tmp_path):
    (tmp_path / "slice.dcm").write_bytes(b"whatever")
    refused("slice.dcm: expected a DICOM file, got one that cannot be read", tmp_path / "slice.dcm")


def test_a_file_that_may_not_be_read_is_named(series, monkeypatch):
    folder = series()

    def closed(path):
        if path.name == "IM0":
            raise PermissionError(13, "Permission denied")
        return original(path)

    original = files._block
    monkeypatch.setattr(files, "_block", closed)
    refused(r"IM0: expected a DICOM file, got one that cannot be read or is damaged \(Permission denied\)", folder)


def test_a_report_without_preamble_is_ignored(series, pixels):
    folder = series()
    report = dicom_slice(99, pixels[0], SeriesInstanceUID="1.2.3")
    for tag in ("Rows", "Columns", "PixelData"):
        delattr(report, tag)
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID = pydicom.uid.BasicTextSRStorage
    write(report, folder / "report")
    without_preamble(folder / "report")
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


def test_a_report_alone_is_no_image(series, pixels, tmp_path):
    report = dicom_slice(99, pixels[0])
    del report.Rows
    write(report, tmp_path / "report.dcm")
    refused("expected a DICOM image, got a DICOM file without pixels", tmp_path / "report.dcm")


def test_deflated_files(series, pixels, monkeypatch):
    folder = series()
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        dataset.save_as(path, enforce_file_format=True)
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))
    monkeypatch.setattr(files, "MOST_UNPACKED", 100)
    monkeypatch.setattr(files, "CHUNK", 64)
    refused("IM0: expected a deflated DICOM file of at most 100 bytes, got one that unpacks to more", folder)


def test_a_deflate_bomb(series, pixels):
    folder = series()
    path = folder / "IM0"
    dataset = dicom_slice(0, pixels[0])
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    meta = 132 + 12 + pydicom.dcmread(path).file_meta.FileMetaInformationGroupLength
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(bytes(files.MOST_UNPACKED + 2**21)) + packer.flush()
    path.write_bytes(content[:meta] + packed)
    refused("IM0: expected a deflated DICOM file of at most 256.0 MiB", folder)
