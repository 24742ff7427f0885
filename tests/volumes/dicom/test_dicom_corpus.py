"""Generated bad series: each is read onto the right grid, or refused in one line that names the file and a remedy."""

import copy
import time
import warnings

import numpy as np
import pytest
from made_series import SLICES, STRAIGHT, dicom_slice, frame_groups, item, multi_frame, pydicom, write

from recalib_keras.volumes import ScanWarning, VolumeError, read

PER_KIND = 60
SECONDS = 5
AFFINE = np.array([[-0.5, 0, 0, -10], [0, -0.75, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
TAGS = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "SamplesPerPixel",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation", "NumberOfFrames",
    "RescaleSlope", "RescaleIntercept", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber",
    "SliceThickness", "SpacingBetweenSlices", "PixelPaddingValue", "PixelPaddingRangeLimit", "PresentationLUTShape",
    "ModalityLUTSequence", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "EchoTime",
    "AcquisitionNumber", "ImageType", "Modality",
)  # fmt: skip
VALUES = (
    "", "0", "-1", "1", "2", "65535", "abc", "nan", "inf", "1e400", "1e-9", "1,5", "1\\2", "1\\2\\3", "a\\b\\c",
    "1\\0\\0\\0\\1\\0", "0\\0\\0\\0\\0\\0", "9\\9\\9\\9\\9\\9", "MONOCHROME1", "x" * 300, "1.2.3",
)  # fmt: skip


def stored(dataset, path):
    """Write a dataset with whatever values it holds."""
    dataset.save_as(path, enforce_file_format=True)


def damage_bytes(content, rng):
    """Return a file cut off, with flipped bits, with a piece of zeros, or with a piece twice."""
    content, where = bytearray(content), int(rng.integers(len(content)))
    kind = rng.integers(4)
    if kind == 0:
        return bytes(content[:where])
    if kind == 1:
        for place in rng.integers(len(content), size=rng.integers(1, 5)):
            content[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        content[where : where + 8] = bytes(len(content[where : where + 8]))
    else:
        content[where:where] = content[max(0, where - 10) : where]
    return bytes(content)


def set_text(dataset, tag, text, rng):
    """Give a tag any text, as a text or in the tag's own kind."""
    vr = "LO" if rng.integers(2) else pydicom.datadict.dictionary_VR(tag).split(" ")[0]
    number = int(text) if text.lstrip("-").isdigit() else None
    if vr in ("US", "SS"):
        vr, text = ("US", number % 2**16) if number is not None else ("LO", text)
    elif vr == "SQ":
        text = [] if rng.integers(2) else [item(RescaleSlope=1)]
    dataset.add_new(pydicom.datadict.tag_for_keyword(tag), vr, text)


@pytest.fixture
def folder(tmp_path, pixels):
    """A good series, or a good multi-frame file beside which nothing else lies."""

    def make(rng, is_enhanced=False):
        path = tmp_path / f"series{rng.integers(2**60)}"
        path.mkdir()
        if is_enhanced:
            unscaled = {"PixelValueTransformationSequence": [item(RescaleSlope=1, RescaleIntercept=0)]}
            write(multi_frame(pixels, [frame_groups(index) for index in range(SLICES)], unscaled), path / "IM0")
        else:
            for index in range(SLICES):
                write(dicom_slice(index, pixels[index], InstanceNumber=index + 1), path / f"IM{index}")
        return path

    return make


def outcome(path):
    """Return what reading gives, a volume or an error of ours; anything else fails the test."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ScanWarning)
        try:
            result = read(path)
        except VolumeError as error:
            result = error
    assert time.process_time() - start < SECONDS
    if isinstance(result, VolumeError):
        message = str(result)
        assert message.startswith(str(path)) and "\n" not in message and len(message) < 2000
        assert None not in (result.file, result.expected, result.received, result.remedy), message
    return result


def check(path, pixels, exact):
    """Check that a bad series is refused, or lies where it lay."""
    result = outcome(path)
    if isinstance(result, VolumeError):
        return True
    if exact:
        assert result.array.shape == pixels.transpose(2, 1, 0).shape
        np.testing.assert_allclose(result.grid.affine, AFFINE, atol=1e-6)
    assert np.isfinite(result.array).all()
    return False


@pytest.fixture(autouse=True)
def lenient_writing(monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", 0)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", 0)


@pytest.mark.parametrize("is_enhanced", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_any_tag_with_any_value_in_one_slice(folder, pixels, is_enhanced):
    rng = np.random.default_rng(20)
    refusals = 0
    for _ in range(5 * PER_KIND):
        path = folder(rng, is_enhanced)
        file = path / f"IM{0 if is_enhanced else rng.integers(SLICES)}"
        dataset = pydicom.dcmread(file)
        target = dataset
        if is_enhanced and rng.integers(2):
            frame = dataset.PerFrameFunctionalGroupsSequence[int(rng.integers(SLICES))]
            target = frame.PlanePositionSequence[0] if rng.integers(2) else dataset.SharedFunctionalGroupsSequence[0]
        tag = TAGS[rng.integers(len(TAGS))]
        try:
            set_text(target, tag, VALUES[rng.integers(len(VALUES))], rng)
            stored(dataset, file)
        except Exception:  # pydicom cannot write every nonsense
            continue
        # What the tags of the grid say is believed where it makes sense; of one slice it must agree with the others.
        refusals += check(path, pixels, exact=not is_enhanced)
    assert refusals > PER_KIND


@pytest.mark.parametrize("is_enhanced", [False, True])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_damaged_files(folder, pixels, is_enhanced):
    rng = np.random.default_rng(21)
    refusals = 0
    for _ in range(4 * PER_KIND):
        path = folder(rng, is_enhanced)
        file = path / f"IM{0 if is_enhanced else rng.integers(SLICES)}"
        file.write_bytes(damage_bytes(file.read_bytes(), rng))
        refusals += check(path, pixels, exact=not is_enhanced)
    assert refusals > PER_KIND


def test_every_truncation_of_an_outermost_slice(folder, pixels):
    path = folder(np.random.default_rng(22))
    content = (path / "IM0").read_bytes()
    for size in range(0, len(content) - 1, 7):
        (path / "IM0").write_bytes(content[:size])
        assert check(path, pixels, exact=True), size


@pytest.mark.parametrize("orientation", [STRAIGHT, [0, 1, 0, 0, 0, -1], [0.8, 0.6, 0, -0.6, 0.8, 0]])
def test_series_without_some_slices(tmp_path, pixels, orientation):
    """A slice missing between others is refused; one at an end leaves the others where they are."""
    rng = np.random.default_rng(23)
    slices = [dicom_slice(index, pixels[index], orientation) for index in range(SLICES)]
    for number in range(PER_KIND):
        path = tmp_path / str(number)
        path.mkdir()
        kept = sorted(rng.choice(SLICES, rng.integers(3, SLICES), replace=False).tolist())
        for index in kept:
            write(copy.deepcopy(slices[index]), path / f"{rng.integers(2**60)}")
        result = outcome(path)
        steps = set(np.diff(kept).tolist())
        assert isinstance(result, VolumeError) == (len(steps) > 1)
        if len(steps) == 1:
            np.testing.assert_array_equal(result.array, pixels[kept].transpose(2, 1, 0))
            assert result.grid.spacing == pytest.approx((0.5, 0.75, 2.5 * steps.pop()))


def test_series_with_noise_in_their_positions(tmp_path, pixels):
    """Up to 0.05 mm off is rounding; half a slice, or half a pixel sideways, never is."""
    rng = np.random.default_rng(24)
    for number in range(PER_KIND):
        path, is_rounding = tmp_path / str(number), bool(rng.integers(2))
        path.mkdir()
        places = np.array([10.0, 20, 30]) + np.arange(SLICES)[:, None] * [0, 0, 2.5]
        if is_rounding:
            places += rng.uniform(-0.03, 0.03, places.shape)
        else:
            shift = rng.normal(size=3)
            places[rng.integers(1, SLICES - 1)] += 1.3 * shift / np.linalg.norm(shift)
        for index in range(SLICES):
            write(dicom_slice(index, pixels[index], position=places[index]), path / str(index))
        result = outcome(path)
        assert isinstance(result, VolumeError) != is_rounding
        if is_rounding:
            np.testing.assert_allclose(result.grid.affine, AFFINE, atol=0.05)
