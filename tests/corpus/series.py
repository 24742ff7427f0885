"""Folders of DICOM slices: tags one by one, slices lost, doubled and moved, files cut short and with flipped bits."""

import struct
from collections.abc import Iterator

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

from .cases import Case, Place, shuffled

ROWS, COLUMNS, SLICES = 5, 4, 6
PIXELS = np.random.default_rng(2).integers(-1000, 2000, (SLICES, ROWS, COLUMNS)).astype(np.int16)
ROOT = "1.2.826.0.1.3680043.8.498.1"
# DICOM: 10 mm left, 20 mm back; RAS+ counts to the right and to the front.
AFFINE = np.array([[-0.5, 0, 0, -10], [0, -0.75, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
PLACE = Place((COLUMNS, ROWS, SLICES), AFFINE)
VALUES = PIXELS.transpose(2, 1, 0)
# Tags of text that say nothing of place or pixels: whatever they hold, the scan is the same.
DESCRIBING = {"PatientName": "PN", "PatientID": "LO", "StudyDescription": "LO", "SeriesDescription": "LO",
              "StudyDate": "DA", "StudyTime": "TM", "ProtocolName": "LO", "Manufacturer": "LO"}  # fmt: skip
NUMBERS = {"ImagePositionPatient": "DS", "ImageOrientationPatient": "DS", "PixelSpacing": "DS", "RescaleSlope": "DS",
           "RescaleIntercept": "DS", "InstanceNumber": "IS", "SliceThickness": "DS", "SliceLocation": "DS",
           "SpacingBetweenSlices": "DS", "SmallestImagePixelValue": "US", "PixelPaddingValue": "US",
           "PixelPaddingRangeLimit": "US", "WindowCenter": "DS", "WindowWidth": "DS"}  # fmt: skip
CODES = {"Rows": "US", "Columns": "US", "SamplesPerPixel": "US", "BitsAllocated": "US", "BitsStored": "US",
         "HighBit": "US", "PixelRepresentation": "US", "NumberOfFrames": "IS"}  # fmt: skip
TEXTS = {"PhotometricInterpretation": "CS", "Modality": "CS", "SeriesInstanceUID": "UI", "SOPInstanceUID": "UI",
         "SOPClassUID": "UI", "FrameOfReferenceUID": "UI", "ImageType": "CS", "PixelData": "OW"}  # fmt: skip
ODD_NUMBERS = (b"", b"abc ", b"0 ", b"-1", b"nan ", b"inf ", b"1e308 ", b"1\\2\\3 ", b"0\\0\\0\\0\\0\\0 ", b"\xff\xfe",
               b"1e-30 ", b"99999999999999999999", b"1,5 ", b"\\\\\\ ", b" " * 16)  # fmt: skip
ODD_CODES = (b"", b"\0\0", b"\1\0", b"\3\0", b"\7\0", b"\x08\0", b"\xff\xff", b"\x10\0\x10\0", b"\1", b"\x20\0")
ODD_TEXTS = (b"", b"MONOCHROME1 ", b"RGB ", b"YBR_FULL", b"PALETTE COLOR ", b"1.2.3 ", b"\xff" * 4, b"a\\b ", b"\0\0",
             b"x" * 70)  # fmt: skip


def dicom_slice(index: int, **tags) -> Dataset:
    """Returns one slice of the good series, 2.5 mm from the next.

    Args:
        index: Its number, from 0.
        **tags: Other values of tags, by keyword.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"{ROOT}.{index + 1}"
    dataset.SeriesInstanceUID, dataset.Modality, dataset.InstanceNumber = ROOT, "CT", index + 1
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [10, 20, 30 + index * 2.5]
    dataset.PixelSpacing = [0.75, 0.5]
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelData = PIXELS[index].tobytes()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def dicom_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields series with one odd tag in one slice or in all, lost and moved slices; then damaged files, without end."""
    odd = [
        *((tag, vr, value, True) for tag, vr in DESCRIBING.items() for value in ODD_TEXTS),
        *((tag, vr, value, False) for tag, vr in NUMBERS.items() for value in ODD_NUMBERS),
        *((tag, vr, value, False) for tag, vr in CODES.items() for value in ODD_CODES),
        *((tag, vr, value, False) for tag, vr in TEXTS.items() for value in ODD_TEXTS),
    ]
    cases = [_tag(*one, everywhere) for one in odd for everywhere in (True, False)]
    cases += [_without(*one) for tags in (NUMBERS, CODES, TEXTS) for one in tags.items()]
    yield from shuffled(rng, [*cases, *_folders()])
    while True:
        yield _damaged(int(rng.integers(2**32)))


def _write(folder, slices):
    folder = folder / "series"
    folder.mkdir()
    for place, dataset in enumerate(slices):
        dataset.save_as(folder / f"IM{place * 5 % 7}", enforce_file_format=True)
    return folder


def _good():
    return [dicom_slice(index) for index in range(SLICES)]


def _tag(tag, vr, value, leaves_alone, everywhere):
    def write(folder):
        slices = _good()
        for dataset in slices:
            if tag not in dataset:
                dataset.add_new(tag, vr, {"US": 1, "DS": "1", "IS": "1"}.get(vr, "X"))
        folder = _write(folder, slices)
        for path in sorted(folder.iterdir()) if everywhere else [folder / "IM3"]:
            path.write_bytes(_replaced(path.read_bytes(), tag, vr, value))
        return folder

    return Case(
        f"{tag} = {value!r} in {'all slices' if everywhere else 'one slice'}",
        write,
        places=(PLACE,) if leaves_alone else (),
        values=VALUES if leaves_alone else None,
        must="read" if leaves_alone else None,
    )


def _element(data, tag, vr):
    """Returns where an element begins and ends in the bytes of a file."""
    number = pydicom.tag.Tag(tag)
    start = data.index(struct.pack("<HH", number.group, number.element) + vr.encode(), 132)
    if vr == "OW":
        return start, start + 12 + struct.unpack("<I", data[start + 8 : start + 12])[0]
    return start, start + 8 + struct.unpack("<H", data[start + 6 : start + 8])[0]


def _replaced(data, tag, vr, value):
    """Returns a file with other bytes in one element, which pydicom would refuse to write."""
    start, end = _element(data, tag, vr)
    length = bytes(2) + struct.pack("<I", len(value)) if vr == "OW" else struct.pack("<H", len(value))
    return data[: start + 6] + length + value + data[end:]


def _without(tag, vr):
    def write(folder):
        is_written = tag in _good()[0]
        folder = _write(folder, _good())
        for path in folder.iterdir() if is_written else ():
            data = path.read_bytes()
            start, end = _element(data, tag, vr)
            path.write_bytes(data[:start] + data[end:])
        return folder

    return Case(f"without {tag}", write)


def _folders():
    good = {"places": (PLACE,), "values": VALUES, "must": "read"}
    yield Case("good", lambda folder: _write(folder, _good()), **good)
    yield Case("reversed", lambda folder: _write(folder, _good()[::-1]), **good)
    yield Case("among other files", _among_others, **good)
    yield Case("exported twice", lambda folder: _write(folder, _good() + _good()[:1]), **good)
    for index in (1, 3):
        yield Case(f"slice {index} lost", lambda folder, i=index: _write(folder, _good()[:i] + _good()[i + 1 :]),
                   must="refuse")  # fmt: skip
    for tag, value in (("ImagePositionPatient", [10, 20, 30]), ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
                       ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]), ("PixelSpacing", [0, 0]),
                       ("PixelSpacing", [1e-6, 1e-6]), ("PixelSpacing", [500, 500]), ("Rows", 65535),
                       ("SamplesPerPixel", 3)):  # fmt: skip
        yield Case(f"{tag} = {value} in all", lambda folder, t=tag, v=value: _write(
            folder, [dicom_slice(index, **{t: v}) for index in range(SLICES)]), must="refuse")  # fmt: skip
    for tags in ({"ImageType": ["ORIGINAL", "PRIMARY", "MOSAIC"]}, {"SegmentationType": "FRACTIONAL"}, {"HighBit": 9}):
        yield Case(f"{tags} in all", lambda folder, tags=tags: _write(
            folder, [dicom_slice(index, **tags) for index in range(SLICES)]), must="refuse")  # fmt: skip
    yield Case("12 of 16 bits, the upper ones", _in_upper_bits, places=(PLACE,), values=VALUES, must="read")
    yield Case("one slice alone", lambda folder: _write(folder, _good()[:1]))
    yield Case("an empty folder", lambda folder: _write(folder, []), must="refuse")
    yield Case("two series", lambda folder: _write(folder, [
        dicom_slice(index, SeriesInstanceUID=f"{ROOT}.{index % 2}") for index in range(SLICES)]),
        must="refuse")  # fmt: skip


def _in_upper_bits(folder):
    slices = _good()
    for dataset, pixels in zip(slices, PIXELS, strict=True):
        dataset.BitsStored, dataset.PixelData = 12, (pixels * 16).astype(np.int16).tobytes()
    return _write(folder, slices)


def _among_others(folder):
    folder = _write(folder, _good())
    (folder / "notes.txt").write_text("CT of the head")
    (folder / "DICOMDIR").write_bytes(bytes(200))
    (folder / "sub").mkdir()
    return folder


def _damaged(seed):
    def write(folder):
        rng = np.random.default_rng(seed)
        folder = _write(folder, _good())
        path = folder / f"IM{rng.integers(SLICES) * 5 % 7}"
        data = bytearray(path.read_bytes())
        if rng.random() < 0.3:
            del data[int(rng.integers(len(data))) :]
        else:
            for place in rng.integers(0, len(data), int(rng.integers(1, 4))):
                data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        return folder

    return Case(f"damaged file, seed {seed}", write)
