import numpy as np
import pytest
from made_series import COLUMNS, ROWS, SLICES, dicom_slice, item, pydicom, refused, write

from recalib_keras.volumes import read
from recalib_keras.volumes.dicom import pixels as module

PAD = -2000


def test_low_values_that_are_bright_are_inverted(series, pixels):
    array = read(series(PhotometricInterpretation="MONOCHROME1")).array
    lowest, highest = float(pixels.min()), float(pixels.max())
    np.testing.assert_array_equal(array, lowest + highest - pixels.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("tags", "is_inverted"),
    [
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}, True),
    ],
)
def test_the_shape_of_the_presentation_table(series, pixels, tags, is_inverted):
    array = read(series(**tags)).array
    brightest = np.unravel_index(array.argmax(), array.shape)
    stored = pixels.transpose(2, 1, 0)
    assert stored[brightest] == (stored.min() if is_inverted else stored.max())


def test_the_whole_series_is_inverted_after_its_slopes(series, pixels):
    def slope(index):
        return {"RescaleSlope": index + 1, "RescaleIntercept": -100}

    array = read(series(change=slope, PhotometricInterpretation="MONOCHROME1")).array
    rescaled = pixels * np.arange(1.0, SLICES + 1)[:, None, None] - 100
    np.testing.assert_array_equal(array, (rescaled.min() + rescaled.max() - rescaled).transpose(2, 1, 0))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("padding", "limit", "stored"),
    [
        (PAD, None, [PAD]),
        (PAD % 2**16, None, [PAD]),  # written as an unsigned number
        (PAD, PAD + 9, [PAD, PAD + 4, PAD + 9]),
        (PAD + 9, PAD, [PAD, PAD + 4, PAD + 9]),
    ],
)
def test_padding_gets_the_lowest_intensity(series, pixels, padding, limit, stored, photometric):
    where = np.zeros(pixels.shape, bool)
    where[:, :2, :2] = True
    where[4] = True  # a slice of nothing else
    padded = pixels.copy()
    padded[where] = np.resize(stored, np.count_nonzero(where))

    def own(index):
        return {"pixels": padded[index], "RescaleSlope": 2, "RescaleIntercept": -7}

    tags = {"PixelPaddingValue": padding} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "writing_validation_mode", 0)
        folder = series(change=own, PhotometricInterpretation=photometric)
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            for tag, value in tags.items():
                dataset.add_new(tag, "US" if value > 0 else "SS", value)
            dataset.save_as(path)
    real = pixels * 2.0 - 7
    lowest, highest = real[~where].min(), real[~where].max()
    expected = real if photometric == "MONOCHROME2" else lowest + highest - real
    expected[where] = lowest
    np.testing.assert_array_equal(read(folder).array, expected.transpose(2, 1, 0))


@pytest.mark.parametrize(("limit", "stored"), [(None, [-999.0]), (-990.0, [-999.0, -995.5, -990.0])])
@pytest.mark.parametrize(("name", "dtype", "vr"), [("Float", "<f4", "FL"), ("DoubleFloat", "<f8", "FD")])
def test_padding_of_floating_point_pixels(series, pixels, name, dtype, vr, limit, stored):
    padded = pixels / 7
    padded[:, :2] = np.resize(stored, padded[:, :2].shape)

    def own(index):
        return {
            f"{name}PixelData": padded[index].astype(dtype).tobytes(),
            "BitsAllocated": np.dtype(dtype).itemsize * 8,
        }

    folder = series(change=own)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        for tag in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            del dataset[tag]
        dataset.add_new(f"{name}PixelPaddingValue", vr, -999.0)
        if limit is not None:
            dataset.add_new(f"{name}PixelPaddingRangeLimit", vr, limit)
        dataset.save_as(path)
    expected = padded.copy()
    expected[:, :2] = padded[:, 2:].min()
    np.testing.assert_allclose(read(folder).array, expected.transpose(2, 1, 0), rtol=1e-6)


# BitsStored and HighBit


def bits(series, values, stored, high, signed=0):
    values = np.broadcast_to(np.asarray(values), (ROWS, COLUMNS)).astype("<u2")
    tags = {"BitsStored": stored, "HighBit": high, "PixelRepresentation": signed}
    return series(change=lambda index: {"PixelData": values.tobytes()}, pixels=np.zeros((ROWS, COLUMNS)), **tags)


@pytest.mark.parametrize("high", [11, 15])
@pytest.mark.parametrize("signed", [0, 1])
def test_pixels_in_lower_or_upper_bits(series, high, signed):
    true = np.arange(-2048 if signed else 0, 2048 if signed else 4096, 200)[: ROWS * COLUMNS].reshape(ROWS, COLUMNS)
    found = read(bits(series, (true % 4096) << (high - 11), 12, high, signed)).array
    assert np.array_equal(found[..., 2], true.T)


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (16, 11), (12, 200), (16, 0)])
def test_a_wrong_high_bit_where_the_pixels_show_it(series, stored, high):
    true = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 2 if high == 0 else np.arange(ROWS * COLUMNS) + 77
    true = true.reshape(ROWS, COLUMNS)
    assert np.array_equal(read(bits(series, true, stored, high)).array[..., 2], true.T)


def test_bits_that_contradict_each_other(series):
    error = refused(r"IM0: HighBit: expected 11 \(BitsStored is 12\), or pixels that show which is right, got 15",
                    bits(series, np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) + 4090, 12, 15))  # fmt: skip
    assert "correct this tag" in error.remedy


def test_a_series_of_padding_alone_is_constant(series):
    folder = series(pixels=np.full((ROWS, COLUMNS), 5), PixelPaddingValue=5)
    refused("a constant image", folder)


def test_unsigned_pixels(series, pixels):
    unsigned = (pixels.astype(int) + 40000).astype("<u2")
    folder = series(change=lambda index: {"pixels": np.zeros((ROWS, COLUMNS)), "PixelRepresentation": 0,
                                          "PixelData": unsigned[index].tobytes()})  # fmt: skip
    assert np.array_equal(read(folder).array, unsigned.transpose(2, 1, 0))


def test_a_table_of_the_modality(series):
    table = item(
        LUTDescriptor=[4, 0, 16], LUTData=np.array([10, 100, 1000, 5000], "<u2").tobytes(), ModalityLUTType="US"
    )
    stored = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 4
    folder = series(pixels=stored, ModalityLUTSequence=[table], PixelRepresentation=0)
    expected = np.array([10, 100, 1000, 5000])[stored].T
    assert np.array_equal(read(folder).array, np.repeat(expected[..., None], SLICES, axis=2))


def test_a_damaged_table_of_the_modality(series):
    folder = series(ModalityLUTSequence=[item(LUTDescriptor=[4, 0, 16], ModalityLUTType="US")])
    refused(r"IM0: ModalityLUTSequence: expected a table .* got a damaged one", folder)


def test_a_slope_of_zero(series):
    refused("IM4: RescaleSlope: expected a number other than 0, got 0",
            series(change=lambda index: {"RescaleSlope": 0} if index == 5 else {}))  # fmt: skip


@pytest.mark.parametrize("photometric", ["RGB", "PALETTE COLOR", "YBR_FULL"])
def test_colours(series, photometric):
    error = refused("IM0: expected one grey value for each pixel, got a colour image", series(
        PhotometricInterpretation=photometric))  # fmt: skip
    assert "move it out of the folder" in error.remedy


def test_a_segmentation_is_no_scan(series):
    refused("IM0: expected a scan, got a mask", series(BitsAllocated=1))


def test_a_segmentation_by_shares_is_no_scan(series):
    refused("IM0: expected a scan, got a mask", series(SegmentationType="FRACTIONAL"))


# Pixels that cannot be decoded


def packed(folder, pixels):
    dataset = dicom_slice(1, pixels[1])
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51not really a picture"])
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    dataset["PixelData"].is_undefined_length = True
    write(dataset, folder / "IM5")
    return folder


def test_without_a_decoder_the_error_names_the_command(series, pixels, monkeypatch):
    monkeypatch.setattr(module, "has_decoder", lambda syntax: False)
    error = refused(r"IM5: expected readable pixels, got JPEG 2000 .* data that cannot be decoded \(no decoder is inst",
                    packed(series(), pixels))  # fmt: skip
    assert error.remedy == "install a decoder: pip install pylibjpeg pylibjpeg-openjpeg"


@pytest.mark.parametrize(
    ("name", "is_there"), [("RLELossless", True), ("MPEG2MPML", False), ("ExplicitVRLittleEndian", True)]
)
def test_whether_there_is_a_decoder(name, is_there):
    assert module.has_decoder(getattr(pydicom.uid, name)) == is_there


def test_damaged_compressed_pixels(series, pixels):
    error = refused(r"IM5: .* got JPEG 2000 .* data that cannot be decoded", packed(series(), pixels))
    assert error.remedy == "export it again, or store it without compression"


def test_compressed_pixels(series, pixels):
    folder = series()
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


@pytest.mark.parametrize("lost", [1, 2, 20, 40])
@pytest.mark.parametrize("name", ["IM0", "IM4", "IM1"])
def test_truncated_pixels(series, lost, name):
    folder = series()
    path = folder / name
    path.write_bytes(path.read_bytes()[:-lost])
    error = refused(
        rf"{name}: expected (readable pixels|a DICOM file), got .*(cannot be decoded|cannot be read)", folder
    )
    assert error.remedy.startswith(("export it again", "export or copy it again"))


@pytest.mark.parametrize("vr", [b"O\0", b"SQ", b"DS", b"??"])
@pytest.mark.filterwarnings("ignore")
def test_pixels_of_a_damaged_kind(series, vr):
    folder = series()
    content = (folder / "IM0").read_bytes()
    (folder / "IM0").write_bytes(content.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00" + vr))
    refused("IM0: .*expected", folder)


def test_more_pixels_than_the_header_says(series):
    refused(r"IM\d: expected readable pixels, got .*40 bytes, where Rows, Columns and BitsAllocated make 24",
            series(Rows=3))  # fmt: skip


@pytest.mark.parametrize(("tail", "is_read"), [(bytes(8), True), (b"\1\0", False), (bytes(10), False)])
def test_what_fills_up_the_end(series, pixels, tail, is_read):
    stored = pixels.astype("<i2")
    folder = series(change=lambda index: {"PixelData": stored[index].tobytes() + tail})
    if is_read:
        assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))
    else:
        refused("IM0: .* bytes, where Rows, Columns and BitsAllocated make 40", folder)
