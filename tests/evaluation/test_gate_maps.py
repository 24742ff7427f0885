from types import SimpleNamespace

import numpy as np
import pytest
from evaluation.drawn import assert_legible

from recalib_keras.evaluation import Structure, gate_figure
from recalib_keras.evaluation.figures.gate_maps import draw_gates

RED = Structure(7, "red", (255, 0, 0))
SHAPE = (16, 20, 12)


@pytest.fixture
def image(volume):
    return volume(np.random.default_rng(0).normal(size=SHAPE).astype("float32"))


@pytest.fixture
def gates(volume):
    """Gates that grow along x, and those of 32 channels."""
    return volume(np.broadcast_to(np.linspace(0.2, 0.9, SHAPE[0])[:, None, None], SHAPE)), np.linspace(0, 1, 32)


def block(spatial=None, channels=None, layer="encoder_1_recalibration"):
    return SimpleNamespace(layer=layer, block="ChannelSpatialSE", spatial=spatial, channels=channels)


def titles(figure):
    return [text.get_text() for text in figure.texts]


def test_a_png_is_written(tmp_path, image, gates):
    path = gate_figure(image, [block(*gates)], tmp_path / "new" / "gates.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_maps_and_bars_stand_below_the_image(image, gates):
    blocks = [block(*gates), block(*gates, layer="decoder_1_recalibration")]
    figure = draw_gates(image, blocks, title="scan a")
    assert titles(figure) == [
        "scan a",
        "encoder 1: gates by position (ChannelSpatialSE)",
        "encoder 1: gates by channel (ChannelSpatialSE)",
        "decoder 1: gates by position (ChannelSpatialSE)",
        "decoder 1: gates by channel (ChannelSpatialSE)",
    ]
    assert len(figure.axes) == 3 + 2 * (3 + 1 + 1)
    assert_legible(figure)


def test_maps_show_the_slices_of_the_image(image, gates):
    spatial, _ = gates
    figure = draw_gates(image, [block(spatial)])
    sagittal, coronal, axial = figure.axes[3:6]
    np.testing.assert_array_equal(sagittal.images[0].get_array(), spatial.array[8].T)
    np.testing.assert_array_equal(axial.images[0].get_array(), spatial.array[:, :, 6].T)
    assert coronal.images[0].get_clim() == sagittal.images[0].get_clim()
    # The scale of colours reaches over all that is shown.
    low, high = figure.axes[6].get_ylim()
    assert low == pytest.approx(0.2, abs=0.05) and high == pytest.approx(0.9, abs=0.05)


def test_bars_show_the_gates_by_channel(image, gates):
    figure = draw_gates(image, [block(channels=gates[1])])
    bars = figure.axes[3]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(gates[1].tolist())
    assert bars.get_ylim() == (0, 1)
    assert draw_gates(image, [block(channels=2 * gates[1])]).axes[3].get_ylim() == (0, 2)


def test_slices_go_through_the_structures_and_outline_them(image, gates, volume):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:8, 9:11] = 7
    figure = draw_gates(image, [block(gates[0])], volume(labels), [RED])
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), image.array[3].T)
    assert [len(axes.collections) for axes in figure.axes[:6]] == [1] * 6


@pytest.mark.parametrize("axis", range(3))
def test_a_single_slice_is_shown_alone(volume, axis):
    shape = np.insert([14, 18], axis, 1)
    flat = volume(np.random.default_rng(0).normal(size=shape))
    figure = draw_gates(flat, [block(volume(np.full(shape, 0.5)))])
    assert len(figure.axes) == 3
    assert figure.axes[0].images[0].get_array().shape == (18, 14)
    assert_legible(figure)


def test_the_picture_does_not_depend_on_the_orientation(tmp_path, image, gates):
    gate_figure(image, [block(*gates)], tmp_path / "a.png")
    gate_figure(image.conform("LIA"), [block(gates[0].conform("LIA"), gates[1])], tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("channels", [1, 3, 256])
def test_any_number_of_channels_is_legible(image, channels):
    assert_legible(draw_gates(image, [block(channels=np.full(channels, 0.5))]))


def test_a_long_title_widens_the_picture(image, gates):
    assert_legible(draw_gates(image, [block(*gates)], title="what the network saw of a scan with a long name " * 2))


def test_slices_units_and_scale_are_named(image, gates):
    spatial, _ = gates
    figure = draw_gates(image, [block(spatial)])
    texts = [text.get_text() for axes in figure.axes[:3] for text in axes.texts]
    # The centre is voxel (8, 10, 6), of 1 × 1.5 × 3 mm; a bar of 10 mm would take more than 0.3 of the 30 mm shown.
    assert [text for text in texts if " = " in text] == ["sagittal, x = 8 mm", "coronal, y = 15 mm", "axial, z = 18 mm"]
    assert [text for text in texts if text.endswith(" mm") and " = " not in text] == ["5 mm"]
    assert figure.axes[6].get_ylabel() == "gate (no unit)"
    assert_legible(figure)
