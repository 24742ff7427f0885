"""Imported networks compute what PyTorch computes, and every tensor that does not fit is named."""

import keras
import nibabel as nib
import numpy as np
import pytest
from authors_networks import torch, trained  # skips these tests without PyTorch

from recalib_keras import zoo
from recalib_keras.core.errors import RecordError
from recalib_keras.zoo import WeightsError


def state(network):
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


def probabilities(network, images):
    """What PyTorch computes, channels last."""
    with torch.no_grad():
        logits = network(torch.from_numpy(np.moveaxis(images, -1, 1).copy()))
    return np.moveaxis(torch.softmax(logits, 1).numpy(), 1, -1)


def image(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


SLOW = pytest.mark.slow


@pytest.mark.parametrize("block", [None, "cse", "sse", "scse", "pe"])
@pytest.mark.parametrize(
    ("kind", "rank"),
    [
        ("quicknat", 2),
        *(
            pytest.param(*one, marks=SLOW)
            for one in (("sdnet", 2), ("unet", 2), ("quicknat", 3), ("sdnet", 3), ("unet", 3))
        ),
    ],
)
def test_outputs_agree_with_pytorch(kind, block, rank):
    network = trained(kind=kind, block=block, rank=rank, levels=2, size=5 if rank == 2 else 3)
    model = zoo.import_authors(state(network))
    images = image(2, *(8,) * rank, 1)
    expected = probabilities(network, images)
    assert np.ptp(expected) > 0.01  # the network has something to say
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(images)), expected, atol=1e-5)


def test_a_quicknat_of_full_depth():
    """Four levels, where the order of the decoders counts; several channels; another size than a square."""
    network = trained(block="scse", channels=3, classes=5, size=5, filters=6)
    model = zoo.import_authors(state(network))
    images = image(1, 32, 48, 3)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(images)), probabilities(network, images), atol=1e-5)
    chosen = model.architecture
    assert (type(model).__name__, chosen.convention, chosen.recalibration) == ("DenseNet", "authors", "scse")
    assert (chosen.levels, chosen.filters, chosen.kernel_size, chosen.num_classes) == (4, 6, 5, 5)
    assert chosen.recalibration_args == {"reduction_ratio": 2, "use_bias": True}
    with pytest.raises(ValueError, match=r"multiple of 16 .*, got \(33, 47\)"):
        model(image(1, 33, 47, 3))


def test_another_order_of_decoders():
    network = trained(levels=3)
    renamed = {"decode3.": "decode1.", "decode1.": "decode2.", "decode2.": "decode3."}
    tensors = {renamed.get(name[:8], name[:8]) + name[8:]: tensor for name, tensor in state(network).items()}
    images = image(1, 16, 16, 1)
    model = zoo.import_authors(tensors, decoders=(1, 2, 3))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(images)), probabilities(network, images), atol=1e-5)
    wrong = keras.ops.convert_to_numpy(zoo.import_authors(tensors)(images))
    assert np.abs(wrong - probabilities(network, images)).max() > 1e-3
    with pytest.raises(ValueError, match=r"expected `decoders` to be an order of 1 to 3, got \(3, 2\)"):
        zoo.import_authors(tensors, decoders=(3, 2))


def test_dropout_is_that_of_the_authors():
    """Whole maps are dropped in training, never in the bottleneck; nothing is dropped otherwise."""
    model = zoo.import_authors(state(trained(levels=1)))
    drops = [layer for layer in model.layers if "dropout" in layer.name]
    assert [layer.name for layer in drops] == ["encoder_1_dropout", "decoder_1_dropout"]
    assert {(type(layer), layer.rate) for layer in drops} == {(keras.layers.SpatialDropout2D, 0.2)}
    images = image(1, 8, 8, 1)
    once, again = (keras.ops.convert_to_numpy(model(images)) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_numbers_of_a_single_convolution():
    """Some versions of SD-Net number its only convolution."""
    network = trained(kind="sdnet", levels=1, block="sse")
    numbered = {
        name.replace(".conv.", ".conv1.").replace("batchnorm.", "batchnorm1.")
        if "SELayer" not in name and "classifier" not in name
        else name: tensor
        for name, tensor in state(network).items()
    }
    assert "encode1.conv1.weight" in numbered
    images = image(1, 8, 8, 1)
    found = keras.ops.convert_to_numpy(zoo.import_authors(numbered)(images))
    np.testing.assert_allclose(found, probabilities(network, images), atol=1e-5)


def test_every_tensor_that_does_not_fit_is_named():
    tensors = state(trained(levels=2, block="cse"))
    del tensors["decode1.conv2.bias"], tensors["encode2.batchnorm3.running_var"]
    tensors["encode1.prelu.weight"] = np.zeros(4, "float32")
    tensors["decode2.conv3.weight"] = np.zeros((4, 3, 1, 1), "float32")
    tensors["encode1.conv4.weight"] = np.zeros(4, "float32")
    with pytest.raises(WeightsError) as caught:
        zoo.import_authors(tensors)
    assert str(caught.value) == (
        "expected the tensors of a QuickNAT, got encode2.batchnorm3.running_var is missing; decode1.conv2.bias is "
        "missing; encode1.prelu.weight has the shape (4,), not (1,); decode2.conv3.weight has the shape (4, 3, 1, 1), "
        "not (4, 16, 1, 1); encode1.conv4.weight is surplus"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.clear(), "of a QuickNAT, SD-Net or U-Net, such as encode1.conv1.weight, got none"),
        (lambda t: t.pop("encode1.conv1.weight"), "a tensor encode1.conv1.weight, got encode1.conv1.bias"),
        (
            lambda t: t.pop("classifier.conv.weight"),
            "expected a tensor classifier.conv.weight, got classifier.conv.bias",
        ),
        (
            lambda t: t.pop("bottleneck.conv3.weight"),
            "tensors of a QuickNAT, got bottleneck.conv3.weight is missing$",
        ),
        (
            lambda t: t.update({"encode5.x": np.zeros(1)}),
            "as many decoders as encoders, numbered from 1, got encode1, ",
        ),
        (lambda t: t.update({"encode1.SELayer.fc3.weight": np.zeros(1)}), "of one kind, .*, got fc1, fc2, fc3"),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith("encode1.SELayer")],
            "in all encoders, in all decoders, or in all of both, got decode1, decode2, encode2",
        ),
        (
            lambda t: t.update({"encode1.conv1.weight": np.zeros((4, 1, 5, 3))}),
            r"kernels of one odd size along all axes, .* got the shape \(4, 1, 5, 3\) of the first",
        ),
    ],
)
def test_checkpoints_of_other_networks(change, message):
    tensors = state(trained(levels=2, block="cse"))
    change(tensors)
    with pytest.raises(WeightsError, match=message):
        zoo.import_authors(tensors)


def write_scan(path, shape, seed=0):
    """Writes a scan as FreeSurfer conforms it: 1 mm, axes to the left, down and forward."""
    affine = np.array([[-1, 0, 0, 8], [0, 0, 1, -3], [0, -1, 0, 8], [0, 0, 0, 1]], "float64")
    array = np.random.default_rng(seed).uniform(20, 180, shape).astype("float32")
    nib.save(nib.Nifti1Image(array, affine), path)
    return array


VIEWS = {"coronal": (2, 0, 1), "axial": (1, 2, 0), "sagittal": (0, 1, 2)}  # the authors' transpositions, slices first


@pytest.mark.parametrize("view", ["coronal", *(pytest.param(one, marks=SLOW) for one in ("axial", "sagittal"))])
def test_a_preset_segments_as_the_authors_would(view, tmp_path):
    """Each slice of the view, scaled by the darkest and the brightest voxel, through PyTorch."""
    network = trained(levels=2, classes=4, block="scse", seed=1)
    labels = {0: "background", 7: "left", 9: "right", 30: "middle"}
    zoo.import_authors(
        state(network), tmp_path / "mine", labels=labels, view=view, expects={"window": (16, 16, 1)}, licence="MIT"
    )
    described = zoo.weight_set(tmp_path / "mine")
    assert [(label.id, label.name) for label in described.labels] == list(labels.items())
    assert (described.licence, described.input.normalization) == ("MIT", "minmax")
    sizes = [16, 16, 16]
    sizes[VIEWS[view][0]] = 4
    array = write_scan(tmp_path / "scan.nii.gz", sizes)
    scaled = (array - array.min()) / (array.max() - array.min())
    slices = np.transpose(scaled, VIEWS[view])[..., np.newaxis]
    classes = probabilities(network, slices).argmax(-1)
    expected = np.array(list(labels))[np.transpose(classes, np.argsort(VIEWS[view]))]
    from recalib_keras import segment

    exact = {"engine": "keras", "precision": "float32"}
    found = np.asarray(segment(tmp_path / "scan.nii.gz", preset=tmp_path / "mine", **exact).dataobj)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(found, expected)


def test_a_preset_takes_scans_of_odd_sizes(tmp_path):
    zoo.import_authors(state(trained(levels=2, rank=3)), tmp_path / "mine", expects={"window": (16, 16, 16)})
    write_scan(tmp_path / "scan.nii.gz", (9, 21, 7))
    from recalib_keras import segment

    assert segment(tmp_path / "scan.nii.gz", preset=tmp_path / "mine", engine="keras").shape == (9, 21, 7)
    assert [label.name for label in zoo.weight_set(tmp_path / "mine").labels[:2]] == ["background", "structure 1"]
    assert len({label.color for label in zoo.weight_set(tmp_path / "mine").labels}) == 3


def test_slices_beside_the_middle_one(tmp_path):
    zoo.import_authors(state(trained(levels=2, channels=7)), tmp_path / "mine")
    assert zoo.info(tmp_path / "mine").weight_sets["imported"].input.context == 3
    loaded = zoo.load(tmp_path / "mine")
    assert loaded.input_shape == (None, 256, 256, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["background", "left"]}, "expected 3 labels, one for each class, the background first, got 2"),
        ({"view": "oblique"}, "expected `view` to be one of coronal, axial, sagittal, got 'oblique'"),
        (
            {"expects": {"window": (16, 16, 16)}},
            r"expected a 2-D window and 1 channels, .*, got the window \(16, 16, 16\)",
        ),
        ({"expects": {"context": 1}}, "got the window .* and 3; give `expects` another window or context"),
        ({"weights": "a/b"}, "file to name a .safetensors file"),
    ],
)
def test_presets_that_cannot_be(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        zoo.import_authors(state(trained(levels=1)), tmp_path / "mine", **arguments)
    assert not (tmp_path / "mine").exists()


def test_channels_that_are_no_slices(tmp_path):
    tensors = state(trained(levels=1, channels=2))
    assert zoo.import_authors(tensors).input_shape == (None, None, None, 2)
    with pytest.raises(RecordError, match="a 2-D window and 2 channels, as the network has them, got"):
        zoo.import_authors(tensors, tmp_path / "mine")


def test_a_preset_is_not_overwritten(tmp_path):
    tensors = state(trained(levels=1))
    zoo.import_authors(tensors, tmp_path / "mine")
    with pytest.raises(
        RecordError, match=r"mine: expected a folder without preset\.json, got a preset; choose another"
    ):
        zoo.import_authors(tensors, tmp_path / "mine")


def test_a_window_that_the_levels_do_not_divide_is_refused(tmp_path):
    network = trained(kind="sdnet", levels=2, size=3)
    with pytest.raises(ValueError, match=r"a multiple of 4 .*got \(255, 256\)"):
        zoo.import_authors(state(network), tmp_path / "sdnet", expects={"window": (255, 256, 1)})
    assert not (tmp_path / "sdnet").exists()
