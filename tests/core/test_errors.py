import pickle
from pathlib import Path

import pytest

from recalib_keras.core import errors
from recalib_keras.core.errors import (
    DivergedError,
    RecalibError,
    RecordError,
    ScanWarning,
    StudyError,
    TrainingError,
    VolumeError,
    WriteError,
    missing_package,
    warn_of_scan,
)

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RecalibError)]
PARTS = {"file": "a.nii", "part": "pixdim", "expected": "3 axes", "received": "2", "remedy": "give a volume"}


def parts_of(error):
    return {name: getattr(error, name) for name in PARTS}


def test_there_is_one_base():
    assert len(CLASSES) == 11
    public = [kind for name, kind in vars(errors).items() if name.endswith("Error")]
    assert set(public) == set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_parts_are_kept_and_build_the_message(kind):
    error = kind(**PARTS)
    assert parts_of(error) == PARTS
    assert str(error) == "a.nii: pixdim: expected 3 axes, got 2; give a volume"


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("arguments", [{"message": "the disk is full"}, PARTS, {"message": "the disk", "file": "x"}])
def test_pickling_keeps_message_and_parts(kind, arguments):
    error = kind(**arguments)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind and str(copy) == str(error) and parts_of(copy) == parts_of(error)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "expected 3 axes, got 2"),
        ({"file": Path("a.nii")}, "a.nii: expected 3 axes, got 2"),
        ({"remedy": "give\n a volume"}, "expected 3 axes, got 2; give a volume"),
    ],
)
def test_missing_parts_leave_no_trace(parts, message):
    assert str(RecalibError(expected="3 axes", received="2", **parts)) == message


def test_a_message_is_folded_to_one_line():
    error = RecalibError(ValueError("first\n  second"))
    assert str(error) == "first second" and not any(parts_of(error).values())


def test_the_classes_are_also_what_python_code_expects():
    assert issubclass(WriteError, OSError)
    assert issubclass(RecordError, ValueError) and issubclass(VolumeError, ValueError)
    assert issubclass(TrainingError, RuntimeError) and issubclass(StudyError, RuntimeError)
    assert issubclass(DivergedError, TrainingError)
    assert not issubclass(WriteError, VolumeError)  # a full disk is not the fault of a scan


@pytest.mark.parametrize("kind", CLASSES)
def test_at_names_the_file(kind):
    error = kind(expected="3 axes", received="2", remedy="give a volume").at("a.nii", "dim")
    assert type(error) is kind and str(error) == "a.nii: dim: expected 3 axes, got 2; give a volume"
    assert parts_of(error) == {**PARTS, "part": "dim"}


def test_without_a_remedy_the_class_may_have_one():
    assert str(VolumeError(expected="3 axes", received="2")) == "expected 3 axes, got 2"
    error = RecordError(expected="3 axes", received="2")
    assert str(error) == "expected 3 axes, got 2; correct this value" and error.remedy == "correct this value"
    assert str(RecordError("a: expected 3 axes, got 2")) == "a: expected 3 axes, got 2; correct this value"
    assert str(RecordError("expected 3 axes, got 2; add one")) == "expected 3 axes, got 2; add one"


def test_at_names_the_file_of_a_plain_message_too():
    error = RecordError("the shares are wrong").at("preset.json", "network")
    assert str(error) == "preset.json: network: the shares are wrong"
    assert (error.file, error.part) == ("preset.json", "network")


def test_at_joins_the_parts():
    error = RecordError(part="network", expected="3 axes", received="2", remedy="add one").at("preset.json", "engine")
    assert (
        str(error) == "preset.json: engine: network: expected 3 axes, got 2; add one"
        and error.part == "engine: network"
    )


def test_a_missing_package_comes_with_the_command_that_installs_it():
    error = missing_package("reading DICOM", "pydicom", 'pip install "recalib-keras[dicom]"')
    assert type(error) is ImportError
    assert str(error) == 'reading DICOM needs pydicom, which is not installed; run: pip install "recalib-keras[dicom]"'


def test_at_keeps_the_file_that_an_error_has():
    error = RecordError(**PARTS)
    assert error.at("b.nii") is error


@pytest.mark.parametrize(("file", "message"), [(None, "left or right"), (Path("a.nii"), "a.nii: left or right")])
def test_warnings_name_the_file_and_the_line_outside_this_package(file, message):
    with pytest.warns(ScanWarning) as caught:
        warn_of_scan("left\n or right", file)
    assert str(caught[0].message) == message and caught[0].filename == __file__
    assert issubclass(ScanWarning, UserWarning)
