"""However a network is exported, its graph has plain operations only; where Keras runs it, blocks are fused."""

import keras
import numpy as np
import pytest
from models.networks import image, outputs_of, randomize, tiny

from recalib_keras import layers, models

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow has such graphs")


@pytest.fixture
def network():
    """A network with a fused block and fused pooling, just loaded and never called."""
    return randomize(tiny(models.SDNet, 2, recalibration="pe"))


def is_compiled(graph):
    """Returns whether a graph, or any function in it, is compiled with XLA."""
    functions = graph.library.function
    marked = any(function.attr["_XlaMustCompile"].b for function in functions)
    nodes = [*graph.node, *(node for function in functions for node in function.node_def)]
    return marked or any(node.attr["_XlaMustCompile"].b for node in nodes)


def graph_of(path):
    import tensorflow as tf

    return tf.saved_model.load(path).signatures["serving_default"].graph.as_graph_def()


def by_export(model, path):
    model.export(path, verbose=False)


def by_archive(model, path):
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", model.call, [keras.InputSpec(shape=model.input_shape, dtype="float32")])
    archive.write_out(path, verbose=False)


def by_tensorflow(model, path):
    import tensorflow as tf

    tf.saved_model.save(model, path)


def in_a_callback(model, path):
    class Export(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.export(path, verbose=False)

    model.compile("sgd", "mse")
    model.fit(image(2), np.zeros((2, 8, 8, 3)), verbose=0, callbacks=[Export()])


@pytest.mark.parametrize(
    "way",
    [by_export, by_tensorflow, *(pytest.param(one, marks=pytest.mark.slow) for one in (by_archive, in_a_callback))],
)
def test_a_saved_graph_is_plain_and_computes_the_same(network, way, tmp_path):
    import tensorflow as tf

    way(network, str(tmp_path))
    assert not is_compiled(graph_of(str(tmp_path)))
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    (outputs,) = served(tf.constant(image(2))).values()
    np.testing.assert_allclose(outputs, outputs_of(network, image(2)), atol=1e-6)


def test_a_function_traced_for_inference_is_plain(network):
    import tensorflow as tf

    function = tf.function(network).get_concrete_function(tf.TensorSpec((None, 8, 8, 1)))
    assert not is_compiled(function.graph.as_graph_def())


def test_a_training_step_of_ones_own_is_fused(network):
    import tensorflow as tf

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network(inputs, training=True) ** 2)
        return tape.gradient(loss, network.trainable_variables)

    assert is_compiled(step.get_concrete_function(tf.TensorSpec((2, 8, 8, 1))).graph.as_graph_def())


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_keras_runs_fused_blocks(method, monkeypatch):
    from recalib_keras.layers import acceleration

    model, seen = randomize(tiny(models.UNet, 2, recalibration="cse")), []
    can_fuse = acceleration.can_fuse
    monkeypatch.setattr(acceleration, "can_fuse", lambda: seen.append(can_fuse()) or seen[-1])
    model.compile("sgd", "mse")
    inputs, targets = image(2), np.zeros((2, 8, 8, 3))
    getattr(model, method)(*(inputs, targets)[: 1 if method == "predict" else 2], verbose=0)
    assert seen and all(seen)


def test_pooling_along_one_axis_after_the_other(monkeypatch):
    """As for LiteRT: the same maxima as Keras's, for odd sizes too."""
    from recalib_keras.layers import resizing

    inputs = np.random.default_rng(0).normal(size=(2, 4, 7, 6, 3)).astype("float32")
    expected = keras.layers.MaxPooling3D((2, 3, 1))(inputs)
    monkeypatch.setattr(resizing, "is_traced_for_litert", lambda: True)
    np.testing.assert_array_equal(layers.MaxPooling3D((2, 3, 1))(inputs), expected)


@pytest.mark.filterwarnings("ignore")  # Keras and tf2onnx use names of NumPy and protobuf that will go
def test_a_network_that_was_only_loaded_exports_as_onnx(network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    loaded.export(str(tmp_path / "network.onnx"), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    (outputs,) = session.run(None, {session.get_inputs()[0].name: image(2)})
    np.testing.assert_allclose(outputs, outputs_of(network, image(2)), atol=1e-6)
