import importlib.util

import pytest

from recalib_keras.inference.engines import base
from recalib_keras.inference.engines.base import Agreement, Candidate, candidates

KERAS, KERAS_16 = Candidate("keras", "float32"), Candidate("keras", "bfloat16")
OPENVINO, OPENVINO_16 = Candidate("openvino", "float32"), Candidate("openvino", "bfloat16")


@pytest.fixture(autouse=True)
def native_bfloat16(monkeypatch):
    monkeypatch.setattr(base, "has_bfloat16", lambda: True)


@pytest.fixture
def without_openvino(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def with_openvino(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


@pytest.mark.parametrize(
    ("engine", "precision", "expected"),
    [
        ("auto", "auto", [KERAS, KERAS_16, OPENVINO, OPENVINO_16]),
        ("auto", "bfloat16", [KERAS_16, OPENVINO_16]),
        ("keras", "auto", [KERAS, KERAS_16]),
        ("openvino", "auto", [OPENVINO, OPENVINO_16]),
        ("openvino", "float32", [OPENVINO]),
    ],
)
def test_what_a_request_leaves_to_choose_from(engine, precision, expected, with_openvino):
    assert candidates(engine, precision) == expected


@pytest.mark.parametrize(
    ("engine", "precision", "expected"),
    [
        ("auto", "auto", [KERAS, OPENVINO, OPENVINO_16]),  # OpenVINO knows itself what is native
        ("keras", "auto", [KERAS]),
        ("keras", "bfloat16", [KERAS_16]),
    ],
)
def test_keras_is_not_tried_in_bfloat16_where_it_is_slow(engine, precision, expected, with_openvino, monkeypatch):
    monkeypatch.setattr(base, "has_bfloat16", lambda: False)
    assert candidates(engine, precision) == expected


def test_without_openvino_keras_is_left(without_openvino):
    assert candidates("auto", "auto") == [KERAS, KERAS_16]
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[openvino\]"'):
        candidates("openvino", "auto")


def test_unknown_engine_or_precision():
    with pytest.raises(ValueError, match="expected engine to be one of auto, keras, openvino, got 'onnx'"):
        candidates("onnx", "auto")
    with pytest.raises(ValueError, match="expected precision to be one of auto, float32, bfloat16, got 'float16'"):
        candidates("auto", "float16")


@pytest.mark.parametrize(
    ("same_labels", "same_structures", "expected"), [(0.995, 0.98, True), (0.9949, 1.0, False), (1.0, 0.9799, False)]
)
def test_what_differs_from_keras_in_float32_does_not_agree(same_labels, same_structures, expected):
    assert Agreement(same_labels, same_structures).agrees == expected
