"""DICOM Segmentation objects are read back, referred to their series, and validated where dciodvfy is installed."""

import itertools
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ct_series import COLUMNS, ROWS, SLICES, UIDS, header_of, pydicom, write_series

from recalib_keras import volumes, zoo
from recalib_keras.core.errors import VolumeError
from recalib_keras.inference.dicom_seg import check_series, code_of, codes, write_dicom_seg
from recalib_keras.zoo import Label

pytest.importorskip("highdicom")

STRUCTURES = (Label(3, "left lung", (200, 10, 10)), Label(5, "liver"), Label(9, "odd thing"), Label(7, "spleen"))


@pytest.fixture
def series(tmp_path):
    """A folder of slices in the wrong order of names."""
    return write_series(tmp_path / "series")


@pytest.fixture
def labels():
    """Label numbers on the grid of the series; the spleen is missing."""
    array = np.random.default_rng(0).choice([0, 3, 5, 9], (COLUMNS, ROWS, SLICES), p=[0.7, 0.1, 0.1, 0.1])
    array[..., 2] = 0  # a slice without structures
    return array.astype("uint8")


def read_back(path, grid):
    """Returns the label map that a file holds, on a grid, without highdicom: from the place of each frame."""
    dataset = pydicom.dcmread(path)
    found = np.zeros(grid.shape, int)
    to_grid = np.linalg.inv(grid.affine)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    for mask, frame in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        start = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        for row, column in np.argwhere(mask):
            place = start + orientation[:3] * columns * column + orientation[3:] * rows * row
            voxel = to_grid @ [-place[0], -place[1], place[2], 1]
            found[tuple(np.rint(voxel[:3]).astype(int))] = number
    return found


def numbered(labels, structures=STRUCTURES):
    return sum((labels == one.id) * number for number, one in enumerate(structures, 1))


def test_reads_back_as_the_label_map(series, labels, tmp_path):
    scan = volumes.read(series)
    path = write_dicom_seg(tmp_path / "x_seg.dcm", labels, STRUCTURES, series, made_by="densenet3d_pe whole_brain")
    assert np.array_equal(read_back(path, scan.grid), numbered(labels))


def test_belongs_to_its_series(series, labels, tmp_path):
    path = write_dicom_seg(tmp_path / "x_seg.dcm", labels, STRUCTURES, series, made_by="densenet3d_pe whole_brain")
    dataset, source = pydicom.dcmread(path), header_of(0)
    assert dataset.SOPClassUID == pydicom.uid.SegmentationStorage and dataset.SegmentationType == "BINARY"
    for tag in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID", "AccessionNumber"):
        assert dataset[tag].value == source[tag].value
    assert dataset.SeriesInstanceUID != source.SeriesInstanceUID and dataset.SeriesNumber == 401
    referenced = dataset.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == source.SeriesInstanceUID
    instances = {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence}
    assert instances == {header_of(index).SOPInstanceUID for index in range(SLICES)}
    for frame in dataset.PerFrameFunctionalGroupsSequence:  # each refers to the slice at its place
        of = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        index = int(of.rsplit(".", 1)[1]) - 1
        assert frame.PlanePositionSequence[0].ImagePositionPatient[2] == 30 + 2.5 * index


def test_segments_say_what_they_are(series, labels, tmp_path):
    path = write_dicom_seg(tmp_path / "x_seg.dcm", labels, STRUCTURES, series, made_by="densenet3d_pe whole_brain")
    dataset = pydicom.dcmread(path)
    lung, liver, odd, spleen = dataset.SegmentSequence
    assert [one.SegmentNumber for one in dataset.SegmentSequence] == [1, 2, 3, 4] and spleen.SegmentLabel == "spleen"
    assert (lung.SegmentLabel, lung.SegmentAlgorithmName) == ("left lung", "densenet3d_pe whole_brain")
    kind = lung.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("39607008", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert "SegmentedPropertyTypeModifierCodeSequence" not in liver.SegmentedPropertyTypeCodeSequence[0]
    private = odd.SegmentedPropertyTypeCodeSequence[0]
    assert (private.CodingSchemeDesignator, private.CodeMeaning) == ("99RECALIB", "odd thing")
    assert dataset.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99RECALIB"
    named = write_dicom_seg(tmp_path / "y_seg.dcm", labels, STRUCTURES[:2], series)
    assert "CodingSchemeIdentificationSequence" not in pydicom.dcmread(named)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_is_valid_by_dciodvfy(series, labels, tmp_path):
    path = write_dicom_seg(tmp_path / "x_seg.dcm", labels, STRUCTURES, series, made_by="densenet3d_pe whole_brain")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    assert "Segmentation" in done.stdout + done.stderr
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


def test_a_scan_without_any_structure(series, labels, tmp_path, caplog):
    path = write_dicom_seg(tmp_path / "x_seg.dcm", np.zeros_like(labels), STRUCTURES, series)
    assert not read_back(path, volumes.read(series).grid).any()
    assert caplog.messages == []


def test_structures_that_include_others_overlap(series, labels, tmp_path):
    structures = (Label(3, "whole tumour", includes=(5,)), Label(5, "core"))
    dataset = pydicom.dcmread(write_dicom_seg(tmp_path / "x_seg.dcm", labels, structures, series))
    pixels, counts = dataset.pixel_array.reshape(-1, ROWS, COLUMNS), {1: 0, 2: 0}
    for mask, frame in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        counts[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber] += int(mask.sum())
    assert counts == {1: np.isin(labels, (3, 5)).sum(), 2: (labels == 5).sum()}


def item(**tags):
    dataset = pydicom.Dataset()
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    return dataset


def multi_frame(path, order, echoes=(1.0,)):
    """Writes an enhanced MR file whose frames come in an order, with each echo in turn."""
    dataset = header_of(0)
    for tag in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, tag)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedMRImageStorage
    dataset.Modality = "MR"
    dataset.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=[0.75, 0.5], SliceThickness=2.5)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        item(
            FrameContentSequence=[item()],
            PlanePositionSequence=[item(ImagePositionPatient=[10, 20, 30 + 2.5 * index])],
            MREchoSequence=[item(EffectiveEchoTime=echo)],
        )
        for index, echo in itertools.product(order, echoes)
    ]
    dataset.NumberOfFrames = len(order) * len(echoes)
    values = np.random.default_rng(1).integers(0, 100, (dataset.NumberOfFrames, ROWS, COLUMNS))
    dataset.PixelData = values.astype("<i2").tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(("echoes", "volume"), [((1.0,), None), ((1.0, 2.0), 1)])
def test_multi_frame_files_in_any_order(labels, tmp_path, echoes, volume):
    file = multi_frame(tmp_path / "scan.dcm", [3, 0, 4, 1, 2], echoes)
    scan = volumes.read(file, volume=volume)
    path = write_dicom_seg(tmp_path / "x_seg.dcm", labels, STRUCTURES, file, volume)
    assert np.array_equal(read_back(path, scan.grid), numbered(labels))
    dataset = pydicom.dcmread(path)
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == UIDS["SeriesInstanceUID"]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        number = source.ReferencedFrameNumber
        here = [3, 0, 4, 1, 2][(number - 1) // len(echoes)]
        assert frame.PlanePositionSequence[0].ImagePositionPatient[2] == 30 + 2.5 * here
        assert volume is None or (number - 1) % len(echoes) == volume


def test_uids_that_only_the_file_meta_information_has(series, labels, tmp_path):
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = dataset.SOPClassUID = ""
        dataset.save_as(path)
    path = write_dicom_seg(tmp_path / "x_seg.dcm", labels, STRUCTURES, series)
    assert np.array_equal(read_back(path, volumes.read(series).grid), numbered(labels))


def test_a_series_that_cannot_be_referred_to(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for index in range(SLICES):
        dataset = header_of(index)
        del dataset.StudyInstanceUID, dataset.PatientID, dataset.FrameOfReferenceUID
        dataset.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    with pytest.raises(VolumeError, match=r"0\.dcm: expected StudyInstanceUID, FrameOfReferenceUID for a DICOM"):
        check_series(folder)


def test_every_code_is_that_of_the_dictionary():
    from pydicom.sr.codedict import codes as known

    schemes = {"SCT": known.SCT, "DCM": known.DCM}
    words = {key: [getattr(scheme, name) for name in scheme.dir()] for key, scheme in schemes.items()}
    others = (codes.ANATOMICAL_STRUCTURE, codes.BODY_SUBSTANCE, *codes.SIDES.values(), codes.ANTERIOR, codes.POSTERIOR)
    for code in (*codes.TYPES.values(), *others):
        meanings = {one.meaning for one in words[code.scheme] if one.value == code.value}
        assert code.meaning.lower() in {meaning.lower() for meaning in meanings}, code


def labels_of_all_presets():
    names = [
        label.name for name in zoo.names() for one in zoo.info(name).weight_sets.values() for label in one.labels[1:]
    ]
    for path in Path(zoo.__file__).parent.glob("recipes/**/*.toml"):
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
        names += [label["name"] for label in recipe.get("labels", ())[1:]]
    return sorted({*names, "brainstem", "spinal cord", "right parotid", "mandible", "larynx", "esophagus"})


def test_structures_of_presets_have_standard_codes():
    private = [name for name in labels_of_all_presets() if code_of(name).type.scheme == codes.PRIVATE]
    assert [name for name in private if "psoas" not in name and "lesion" not in name] == []


@pytest.mark.parametrize("name", ["left hippocampus", "Left-Hippocampus", "hippocampus_left"])
def test_spellings_of_a_name(name):
    found = code_of(name)
    assert (found.type.value, found.modifier.meaning) == ("5366008", "Left")
    assert code_of("anterior hippocampus").modifier.meaning == "Anterior"
    assert code_of("CSF").category.meaning == "Body Substance"
