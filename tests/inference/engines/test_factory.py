import importlib.util
import shutil

import numpy as np
import pytest

from recalib_keras import zoo
from recalib_keras.inference.engines import (
    EngineError,
    KerasEngine,
    Undecided,
    base,
    keras_engine,
    open_engine,
    openvino_engine,
)
from recalib_keras.inference.engines.base import Agreement
from recalib_keras.inference.engines.cache import Cache
from recalib_keras.inference.engines.openvino_engine import OpenVINOEngine

pytestmark = pytest.mark.usefixtures("openvino")


@pytest.fixture
def fast_openvino(monkeypatch):
    """Makes every probe find OpenVINO in float32 the first that agrees."""

    def agreement(engine, windows, labels, has_sigmoid):
        return Agreement(*[float((engine.name, engine.precision) == ("openvino", "float32"))] * 2)

    monkeypatch.setattr("recalib_keras.inference.engines.selection.agreement", agreement)


def test_the_first_scan_decides_and_the_next_process_remembers(bright_preset, windows, empty_cache, fast_openvino):
    first = open_engine(bright_preset)
    assert isinstance(first, Undecided)
    decided = first.decided(windows)
    assert isinstance(decided, OpenVINOEngine) and decided.precision == "float32"
    again = open_engine(bright_preset, threads=1)
    assert isinstance(again, OpenVINOEngine) and again.precision == "float32"
    np.testing.assert_allclose(again(windows), first(windows), atol=1e-5)


def test_the_probe_as_it_is(bright_preset, windows, empty_cache):
    decided = open_engine(bright_preset).decided(windows)
    again = open_engine(bright_preset)
    assert (again.name, again.precision) == (decided.name, decided.precision)
    assert np.array_equal(decided(windows).argmax(-1) == 1, windows[..., 0] > 0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_an_engine_that_is_asked_for_is_opened_at_once(engine, precision, bright_preset, windows, empty_cache):
    opened = open_engine(bright_preset, engine=engine, precision=precision)
    assert (opened.name, opened.precision) == (engine, precision)
    assert np.array_equal(opened(windows).argmax(-1) == 1, windows[..., 0] > 0)


def test_precision_alone_may_be_left_open(bright_preset, windows, empty_cache):
    decided = open_engine(bright_preset, engine="openvino").decided(windows)
    again = open_engine(bright_preset, engine="openvino")
    assert decided.name == "openvino" and (again.name, again.precision) == ("openvino", decided.precision)
    assert isinstance(open_engine(bright_preset), Undecided)  # which is another question


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", None])
def test_a_compiled_network_that_is_damaged_or_gone_is_made_anew(damage, bright_preset, windows, empty_cache):
    request = {"engine": "openvino", "precision": "float32"}
    expected = open_engine(bright_preset, **request)(windows)
    (path,) = empty_cache.rglob("*.blob")
    content = path.read_bytes()
    if damage:
        path.write_bytes(damage(content))
    else:
        path.unlink()
    assert np.array_equal(open_engine(bright_preset, **request)(windows), expected)
    assert Cache(zoo.weight_set(bright_preset)).read("openvino-float32.blob") is not None


def test_a_compiled_network_that_openvino_refuses_is_made_anew(bright_preset, windows, empty_cache):
    request = {"engine": "openvino", "precision": "float32"}
    open_engine(bright_preset, **request)
    Cache(zoo.weight_set(bright_preset)).write("openvino-float32.blob", b"of another version")
    assert open_engine(bright_preset, **request)(windows).shape == (3, 8, 8, 8, 2)


def test_a_choice_that_is_damaged_is_made_anew(bright_preset, windows, empty_cache, fast_openvino):
    open_engine(bright_preset).decided(windows)
    (path,) = empty_cache.rglob("choice-*")
    path.write_bytes(path.read_bytes()[:-3])
    assert isinstance(open_engine(bright_preset), Undecided)


def test_weights_are_checked_though_they_lie_compiled_in_the_cache(bright_preset, empty_cache, tmp_path):
    folder = shutil.copytree(bright_preset, tmp_path / "preset")
    request = {"engine": "openvino", "precision": "float32"}
    open_engine(folder, **request)
    file = folder / "bright.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(zoo.WeightsError, match="expected the weights that the preset describes, with SHA-256"):
        open_engine(folder, **request)
    file.unlink()
    with pytest.raises(zoo.WeightsError, match="expected a file of weights that can be read"):
        open_engine(folder, **request)


def test_without_a_cache_that_can_be_written(bright_preset, windows, tmp_path, monkeypatch, fast_openvino):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "file"))
    assert open_engine(bright_preset).decided(windows).name == "openvino"
    assert isinstance(open_engine(bright_preset), Undecided)


def test_a_network_that_cannot_be_converted_runs_on_keras(bright_preset, windows, empty_cache, monkeypatch):
    def refuse(model, precisions):
        raise EngineError("the network cannot be converted")

    monkeypatch.setattr(openvino_engine, "convert", refuse)
    assert open_engine(bright_preset).decided(windows).name == "keras"
    with pytest.raises(EngineError, match="cannot be converted"):
        open_engine(bright_preset, engine="openvino", precision="float32")


def test_another_backend(bright_preset, empty_cache, monkeypatch):
    monkeypatch.setattr(keras_engine, "backend", lambda: "jax")
    for precision in ("auto", "float32"):
        with pytest.raises(
            EngineError,
            match=r"expected Keras's TensorFlow backend for the engine 'openvino', .*, got 'jax'; set KERAS_BACKEND",
        ):
            open_engine(bright_preset, engine="openvino", precision=precision)
    engine = open_engine(bright_preset)
    assert isinstance(engine, KerasEngine) and engine.precision == "float32"
    assert open_engine(bright_preset, precision="bfloat16").precision == "bfloat16"


def test_a_gpu_leaves_no_choice_but_keras(bright_preset, empty_cache, monkeypatch):
    monkeypatch.setattr(keras_engine, "runs_on_tensorflow_cpu", lambda: False)
    engine = open_engine(bright_preset)
    assert isinstance(engine, KerasEngine) and engine.precision == "float32"


def test_without_openvino_keras_is_left(bright_preset, windows, empty_cache, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(base, "has_bfloat16", lambda: True)
    decided = open_engine(bright_preset).decided(windows)
    assert decided.name == "keras" and not list(empty_cache.rglob("*.blob"))
    monkeypatch.setattr(base, "has_bfloat16", lambda: False)
    assert (open_engine(bright_preset).name, open_engine(bright_preset).precision) == ("keras", "float32")
    with pytest.raises(ImportError, match="which is not installed"):
        open_engine(bright_preset, engine="openvino")


def test_unknown_preset_and_weights(bright_preset, empty_cache):
    with pytest.raises(ValueError, match="expected the name of a preset, got 'nothing'"):
        open_engine("nothing")
    with pytest.raises(ValueError, match="got 'dark'; known weights: bright"):
        open_engine(bright_preset, "dark")
