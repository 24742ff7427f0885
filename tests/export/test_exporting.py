"""Exported files compute in their runtimes what the network computes; others are refused and leave nothing."""

import importlib.util
import json

import keras
import numpy as np
import pytest
from models.networks import BLOCK_ARGUMENTS, NETWORKS, image, outputs_of, randomize, tiny
from views import SHARES, SIDES, SIZE, write_views

import recalib_keras
from recalib_keras import export, layers, models, zoo
from recalib_keras.export import formats, runtimes
from recalib_keras.export.certificate import Certificate, compared, labels_in
from recalib_keras.export.formats import FORMATS

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports start from TensorFlow")
every_format = pytest.mark.parametrize("format", FORMATS)
onnx_and_slowly_the_others = pytest.mark.parametrize(
    "format", [pytest.param(name, marks=pytest.mark.slow if name != "onnx" else ()) for name in FORMATS]
)


@pytest.fixture
def write(tmp_path):
    """Returns a function that exports and returns the certificate; it skips where a package is missing."""

    def write(source, format, **options):
        try:
            FORMATS[format].check_installed("tensorflow")
        except ImportError as error:
            pytest.skip(str(error))
        return getattr(export, format)(source, tmp_path / f"network{FORMATS[format].suffix}", **options)

    return write


@pytest.fixture(scope="module")
def unet():
    return randomize(tiny(models.UNet, 2, recalibration="scse"))


@onnx_and_slowly_the_others
def test_a_network_of_any_size_computes_the_same(write, format, tmp_path):
    """Unpooling, a block, batch normalization and free sizes in 3-D: all that other runtimes have stumbled over."""
    arguments = {"num_classes": 3, "levels": 1, "filters": 4, "upsampling": "unpool", "normalization": "batch"}
    network = randomize(models.SDNet((None,) * 3 + (1,), recalibration="pe", **arguments))
    certificate = write(network, format)
    assert certificate.agreement.largest_difference < 1e-5 and certificate.agreement.same_labels == 1
    assert certificate.inputs[0].shape == (None, None, None, None, 1) or format == "litert"
    assert len(set(certificate.agreement.shapes)) == 2
    (path,) = tmp_path.glob("*.certificate.json")
    assert Certificate.read(path) == certificate
    inputs = [image(3, 4), image(3, 6)]
    for given, outputs in zip(inputs, runtimes.run(format, path.with_name(_name(path)), inputs).outputs):
        np.testing.assert_allclose(outputs, outputs_of(network, given), atol=1e-5)


def _name(certificate):
    return certificate.name.removesuffix(".certificate.json")


def test_a_preset_by_name_with_all_that_its_user_must_know(write, bright_preset, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    certificate = write(bright_preset, "onnx")
    facts = json.loads((tmp_path / "network.onnx.certificate.json").read_text(encoding="utf-8"))
    described = zoo.weight_set(bright_preset)
    assert facts["source"]["preset"] == "bright" and facts["source"]["sha256"] == described.sha256
    assert facts["input"]["normalization"] == "zscore" and facts["input"]["orientation"] == "RAS"
    assert [(label["id"], label["name"]) for label in facts["labels"]] == [(0, "background"), (7, "bright")]
    assert facts["files"] == {"network.onnx": zoo.weights.sha256((tmp_path / "network.onnx").read_bytes())}
    assert facts["versions"]["onnxruntime"] == onnxruntime.__version__
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    scan = np.random.default_rng(3).normal(size=(1, 4, 6, 8, 1)).astype("float32")
    (probabilities,) = session.run(None, {certificate.inputs[0].name: scan})
    np.testing.assert_array_equal(probabilities.argmax(-1), scan[..., 0] > 0.001)  # bright is what is above the mean


def test_a_preset_with_the_size_of_its_window(write, bright_preset):
    certificate = write(bright_preset, "onnx", dynamic=False)
    assert certificate.inputs[0].shape == (None, 8, 8, 8, 1)


@pytest.mark.slow
@onnx_and_slowly_the_others
def test_an_ensemble_is_one_network(write, format, tmp_path):
    """Three 2-D networks in a loop over slices, which OpenVINO and LiteRT do not have."""
    folder = write_views(tmp_path / "presets" / "views")
    certificate = write(folder, format)
    assert certificate.agreement.largest_difference < 1e-4 and certificate.agreement.same_labels > 0.999
    assert certificate.source["weights"] == "all_views" and certificate.licence == "CC0"
    members = {one["weights"]: (one["share"], one["sha256"]) for one in certificate.source["members"]}
    assert members == {name: (SHARES[name], zoo.weight_set(folder, name).sha256) for name in SHARES}
    assert [label["id"] for label in certificate.labels] == [label.id for label in SIDES]
    assert certificate.input["window"] == [SIZE] * 3 and certificate.input["context"] == 0
    scan = np.random.default_rng(7).normal(size=(1, 4, 6, 8, 1)).astype("float32")
    (found,) = runtimes.run(format, tmp_path / f"network{FORMATS[format].suffix}", [scan]).outputs
    np.testing.assert_allclose(found, outputs_of(zoo.load(folder, input_shape=(4, 6, 8, 1)), scan), atol=1e-5)


@pytest.mark.slow
def test_members_of_an_ensemble(write, tmp_path):
    folder = write_views(tmp_path / "presets" / "views")
    certificate = write(folder, "savedmodel", weights="axial", dynamic=False)
    assert certificate.source["weights"] == "axial" and certificate.inputs[0].shape == (None, SIZE, SIZE, 3)
    certificate = write(folder, "savedmodel", weights={"axial": 1, "coronal": 3}, dynamic=False)
    assert certificate.source["weights"] == "axial + coronal"
    assert [one["share"] for one in certificate.source["members"]] == [1, 3]
    with pytest.raises(ValueError, match="expected weights of the preset 'views', got 'axia'; did you mean 'axial'"):
        write(folder, "savedmodel", weights="axia")


def test_a_saved_model_and_a_probe_of_ones_own(write, unet, tmp_path):
    unet.save(tmp_path / "mine.keras")
    certificate = write(tmp_path / "mine.keras", "onnx", probe=image(2))
    assert certificate.agreement.shapes == ((2, 8, 8, 1),) and certificate.agreement.is_good
    assert certificate.network["architecture"] == "UNet"
    assert certificate.network["arguments"]["recalibration"] == "scse"


def test_a_block_in_a_model_of_ones_own(write):
    given = keras.Input((8, 8, 3))
    model = keras.Model(given, layers.ChannelSE(2)(keras.layers.Conv2D(4, 3)(given)))
    assert write(model, "onnx").agreement.is_good


def test_what_differs_is_refused_and_the_old_file_stays(write, unet, tmp_path, monkeypatch):
    run = runtimes.run

    def worse(*arguments):
        outcome = run(*arguments)
        return outcome._replace(outputs=[output[..., ::-1] for output in outcome.outputs])

    monkeypatch.setattr(runtimes, "run", worse)
    (tmp_path / "network.onnx").write_bytes(b"old")
    with pytest.raises(
        export.ExportError, match="computes what unet computes, got one that differs, largest difference"
    ):
        write(unet, "onnx")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("network.onnx", b"old")]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_do_not_agree(number):
    outputs = [np.full((1, 2, 2), 0.5)]
    assert compared(outputs, outputs, outputs).is_good
    assert not compared(outputs, outputs, [np.full((1, 2, 2), number)]).is_good


def test_outputs_of_another_shape_do_not_agree():
    assert not compared([np.ones((1, 2, 2))], [np.ones((1, 2, 2))], [np.ones((1, 1, 2))]).is_good


def test_the_label_of_a_single_class_is_whether_it_is_there():
    np.testing.assert_array_equal(labels_in(np.array([[[0.4], [0.6]]])), [[False, True]])


def test_a_file_that_the_runtime_refuses(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(export.ExportError, match=r"expected a file that runs in the runtime of onnx, got one that it"):
        runtimes.run("onnx", tmp_path / "broken.onnx", [image(2)])


def test_an_operation_that_litert_lacks_is_named(write, tmp_path):
    given = keras.Input((4, 4, 4, 1))
    model = keras.Model(given, keras.layers.MaxPooling3D(2)(given))
    with pytest.raises(export.ExportError, match="operations that LiteRT lacks: MaxPool3D"):
        write(model, "litert")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_reported_with_the_command(unet, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find(name))
    with pytest.raises(
        ImportError, match=r'needs tf2onnx, which is not installed; run: pip install "recalib-keras\[onnx'
    ):
        export.onnx(unet, tmp_path / "network.onnx")


@pytest.mark.parametrize(
    ("format", "backend", "reason"),
    [("litert", "jax", "this format"), ("litert", "torch", "without litert_torch; run: pip install litert-torch")],
)
def test_a_backend_that_keras_cannot_export_from(format, backend, reason, monkeypatch):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    problem = rf"got '{backend}', which cannot export it \({reason}\); set KERAS_BACKEND=tensorflow"
    with pytest.raises(export.ExportError, match=problem):
        FORMATS[format].check_installed(backend)


def test_paths_that_do_not_fit(unet, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(
        export.ExportError, match=r"expected a file \*.onnx for ONNX, got the suffix '.pb'; write to a.onnx"
    ):
        export.onnx(unet, tmp_path / "a.pb")
    with pytest.raises(ValueError, match=r"expected one of the suffixes .onnx, .xml, .tflite, got '.pb'"):
        export.export(unet, tmp_path / "a.pb")
    with pytest.raises(ValueError, match="did you mean 'onnx'"):
        export.export(unet, tmp_path / "a.onnx", "onx")
    with pytest.raises(export.ExportError, match="expected a folder that is new, empty or a SavedModel"):
        export.savedmodel(unet, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_sources_that_do_not_fit(tmp_path):
    given = keras.Input((8, 8, 1))
    with pytest.raises(export.ExportError, match="expected a network with one input and one output"):
        export.savedmodel(keras.Model(given, [given, given]), tmp_path / "a")
    with pytest.raises(export.ExportError, match=r'which computes in bfloat16; load it with dtype="float32"'):
        export.savedmodel(tiny(models.UNet, dtype="mixed_bfloat16"), tmp_path / "a")
    with pytest.raises(export.ExportError, match=r"gone.keras: expected a saved model, got no such file"):
        export.savedmodel(tmp_path / "gone.keras", tmp_path / "a")
    with pytest.raises(TypeError, match=r"expected a keras.Model or the name of a preset, got a int"):
        export.savedmodel(3, tmp_path / "a")
    assert recalib_keras.export is export and list(tmp_path.iterdir()) == []


@pytest.mark.slow
@every_format
@pytest.mark.parametrize("block", BLOCK_ARGUMENTS)
@pytest.mark.parametrize("spatial_rank", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_architecture_block_and_rank(write, name, spatial_rank, block, format):
    certificate = write(randomize(tiny(NETWORKS[name], spatial_rank, recalibration=block)), format)
    assert certificate.agreement.largest_difference < 1e-4 and certificate.agreement.is_good


@pytest.mark.slow
@every_format
@pytest.mark.parametrize(
    ("name", "weights"),
    [(name, one) for name in zoo.names() for one in (*zoo.info(name).weight_sets, *zoo.info(name).ensembles)],
)
def test_every_preset(write, name, weights, format):
    assert write(name, format, weights=weights).agreement.is_good
