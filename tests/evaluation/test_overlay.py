import subprocess
import sys
from types import SimpleNamespace

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
from evaluation.drawn import assert_legible

from recalib_keras.evaluation import overlay
from recalib_keras.evaluation.figures.overlay import LEGEND_ENTRIES, draw
from recalib_keras.volumes import Channels, Grid, Volume, VolumeError

RED = SimpleNamespace(id=7, name="red structure", color=(255, 0, 0))
GREEN = SimpleNamespace(id=9, name="green structure", color=(0, 255, 0))
SHAPE, SPACING = (16, 20, 12), (1.0, 1.5, 3.0)


@pytest.fixture
def scan():
    """An RAS scan, dark but for its right, front and upper parts; voxel (0, 0, 0) lies at (-8, -10, 5) mm."""
    array = np.zeros(SHAPE, np.float32)
    array[10:] += 1
    array[:, 15:] += 2
    array[:, :, 8:] += 4
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-8, -10, 5)
    return Volume(array, Grid(SHAPE, affine))


@pytest.fixture
def labels():
    array = np.zeros(SHAPE, np.uint8)
    array[11:14, 12:17, 3:6] = RED.id
    array[11:14, 12:17, 6:7] = GREEN.id
    return array


def shown(axes):
    """The slice that a panel shows, first row uppermost as seen."""
    return np.asarray(axes.images[0].get_array())[::-1]


def titles(figure):
    return [text.get_text() for text in figure.texts if " = " in text.get_text()]


def letters(axes):
    return [text.get_text() for text in axes.texts if not text.get_text().endswith(" mm")]


def bars(figure):
    """The texts of the scale bars in a figure, with the lengths that are drawn."""
    found = []
    for axes in figure.axes:
        texts = [text.get_text() for text in axes.texts if text.get_text().endswith(" mm")]
        found += [(text, np.ptp(axes.lines[0].get_xdata())) for text in texts]
    return found


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def near(picture, color):
    """Which pixels of a PNG are close to a colour."""
    return np.abs(picture[..., :3] - np.array(color) / 255).max(-1) < 0.1


def test_a_png_in_the_colours_of_the_structures(tmp_path, scan, labels):
    path = overlay(scan, labels, [RED, GREEN], tmp_path / "new" / "scan_overlay.png")
    assert path == tmp_path / "new" / "scan_overlay.png"
    picture = matplotlib.image.imread(path)
    assert picture.ndim == 3 and min(picture.shape[:2]) > 300
    assert near(picture, RED.color).any() and near(picture, GREEN.color).any()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("orientation", ["LIA", "LPS", "ASR", "SPL"])
def test_any_orientation_gives_the_same_picture(tmp_path, scan, labels, orientation):
    stored = scan.conform(orientation)
    mapped = Volume(labels, scan.grid).conform(orientation, order=0).array
    overlay(scan, labels, [RED, GREEN], tmp_path / "as_is.png")
    overlay(stored, mapped, [RED, GREEN], tmp_path / "turned.png")
    assert (tmp_path / "as_is.png").read_bytes() == (tmp_path / "turned.png").read_bytes()


def test_letters_name_the_sides(scan, labels):
    sagittal, coronal, axial = draw(scan, labels, [RED]).axes[:3]
    assert letters(sagittal) == ["P", "A", "I", "S"]
    assert letters(coronal) == ["L", "R", "I", "S"]
    assert letters(axial) == ["L", "R", "P", "A"]
    # Right, front and top are brighter than their opposites, and each panel shows two of them.
    for panel in (sagittal, coronal, axial):
        picture = shown(panel)
        assert picture[:, -1].mean() > picture[:, 0].mean()
        assert picture[0].mean() > picture[-1].mean()


def test_all_panels_of_an_overlay_have_one_scale(scan, labels):
    figure = draw(scan, labels, [RED])
    width, height, depth = np.array(SHAPE) * SPACING
    sides = [axes.get_position().size * figure.get_size_inches() for axes in figure.axes]
    expected = [(height, depth), (width, depth), (width, height)] * 2
    assert np.ptp(np.array(sides) / np.array(expected)) == pytest.approx(0, abs=1e-6)


def test_of_a_box_the_middle_slices_are_shown(scan, labels):
    figure = draw(scan, labels, [RED])
    # The middle of RED is voxel (12, 14, 4), at (-8, -10, 5) + (12, 14 · 1.5, 4 · 3) mm.
    assert titles(figure) == ["sagittal, x = 4 mm", "coronal, y = 11 mm", "axial, z = 17 mm"]
    assert np.array_equal(shown(figure.axes[0]), scan.array[12].T[::-1])


def test_the_slice_with_most_structures_is_shown(scan):
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:14, 2:9, 5] = RED.id
    labels[2, 10, 5] = GREEN.id  # one voxel, but the only slice that shows both
    assert titles(draw(scan, labels, [RED, GREEN]))[0] == "sagittal, x = −6 mm"
    assert titles(draw(scan, labels, [RED]))[0] == "sagittal, x = −1 mm"


def test_a_mosaic_has_a_row_of_slices_for_each_view(scan):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:14, 4:16, 2:10] = RED.id
    figure = draw(scan, labels, [RED], slices=3)
    # Along x, 12 slices have the structure, from 2 on: a sixth, a half and five sixths of them are passed in 3, 7, 11.
    assert titles(figure)[:3] == ["sagittal, x = −5 mm", "x = −1 mm", "x = 3 mm"]
    assert len(figure.axes) == 9 and all(len(axes.collections) == 2 for axes in figure.axes)
    assert [letters(axes) for axes in figure.axes[:2]] == [["P", "A", "I", "S"], []]
    with pytest.raises(ValueError, match="expected 1 slice of each view or more, got 0; leave it out for 1"):
        draw(scan, labels, [RED], slices=0)


def test_a_scale_bar_has_the_length_that_it_says(scan, labels):
    # The panel is 30 mm wide; the bar takes at most 0.3 of it.
    assert bars(draw(scan, labels, [RED])) == [("5 mm", 5.0)]


def test_large_scans_are_cut_to_what_is_around_the_structures():
    shape = (200, 40, 200)
    scan = Volume(np.zeros(shape, np.float32), Grid(shape, np.eye(4)))
    labels = np.zeros(shape, np.uint8)
    labels[90:110, 10:30, 50:150] = RED.id
    coronal = draw(scan, labels, [RED]).axes[1]
    # 20 mm wide: filled up to 80; 100 mm high: 15 mm more on either side.
    assert shown(coronal).shape == (130, 80)


def test_flat_views_are_arranged_to_waste_little_room():
    shape = (100, 100, 20)
    scan = Volume(np.zeros(shape, np.float32), Grid(shape, np.eye(4)))
    labels = np.ones(shape, np.uint8)
    figure = draw(scan, labels, [SimpleNamespace(id=1, name="all", color=(255, 0, 0))])
    # Views as rows: 200 × 140 mm instead of 300 × 200 mm.
    assert [len(axes.collections) for axes in figure.axes] == [0, 2] * 3


def test_titles_of_narrow_panels_stand_apart():
    """A scan 3 mm wide and 12 mm high: its panels are narrower than their titles."""
    shape = (6, 7, 5)
    narrow = Volume(np.ones(shape, np.float32), Grid(shape, np.diag([0.5, 0.75, 2.5, 1.0])))
    figure = draw(narrow, np.full(shape, RED.id), [RED])
    assert len(titles(figure)) == 3
    assert_legible(figure)
    above, below = ([axes.get_position().x0 for axes in figure.axes[start : start + 3]] for start in (0, 3))
    np.testing.assert_allclose(above, below)


def test_all_channels_are_shown(scan, labels):
    channels = Channels(("T1w", "FLAIR"), (scan, Volume(-scan.array, scan.grid)))
    figure = draw(channels, labels, [RED])
    assert [len(axes.collections) for axes in figure.axes] == [0] * 6 + [2] * 3
    assert np.array_equal(shown(figure.axes[3]), -shown(figure.axes[0]))
    assert titles(figure)[0] == "T1w: sagittal, x = 4 mm"
    assert [text.get_text() for text in figure.texts].count("FLAIR") == 3


def test_soft_tissue_of_a_ct_has_contrast(scan, labels):
    array = np.full(SHAPE, -1000.0, np.float32)
    array[:12], array[:, :, 10:] = 40.0, 2000.0
    array[labels == RED.id] = np.linspace(20, 80, (labels == RED.id).sum())
    figure = draw(Volume(array, scan.grid), labels, [RED])
    low, high = figure.axes[0].images[0].get_clim()
    # The middle half of the structure is 30 HU wide; five times that to either side.
    assert -150 < low < 20 and 80 < high < 300


def test_a_file_of_another_format_is_refused(tmp_path, scan, labels):
    with pytest.raises(
        ValueError, match=r"scan\.jpg: expected a picture that ends in \.png, \.svg or \.pdf, got '\.jpg'"
    ):
        overlay(scan, labels, [RED], tmp_path / "scan.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["svg", "SVG"])
def test_an_svg_names_slices_and_structures(tmp_path, scan, labels, suffix):
    path = overlay(scan, labels, [RED], tmp_path / f"scan.{suffix}")
    text = path.read_text()
    for words in ("sagittal, x = 4 mm", "red structure", "patient's left (L) is on the left"):
        assert words in text
    again = overlay(scan, labels, [RED], tmp_path / "again.svg")
    assert again.read_text() == text  # no date, no random names


def test_a_pdf(tmp_path, scan, labels):
    assert overlay(scan, labels, [RED], tmp_path / "scan.pdf").read_bytes().startswith(b"%PDF")


def test_outlines_follow_the_edges_of_voxels(scan, labels):
    axial = draw(scan, labels, [RED]).axes[5]
    filled, outline = axial.collections
    points = np.concatenate([path.vertices for path in outline.get_paths()])
    assert points.min(axis=0) == pytest.approx((11, 12 * 1.5))
    assert points.max(axis=0) == pytest.approx((14, 17 * 1.5))
    assert filled.get_facecolor()[0] == pytest.approx((1, 0, 0, 0.35))


def test_the_upper_row_is_the_plain_scan(scan, labels):
    figure = draw(scan, labels, [RED])
    assert [len(axes.collections) for axes in figure.axes] == [0, 0, 0, 2, 2, 2]


def test_the_legend_names_what_was_found(scan, labels):
    labels[labels == GREEN.id] = 0
    assert legend(draw(scan, labels, [RED, GREEN])) == ["red structure"]


def test_without_structures_the_centre_is_shown(tmp_path, scan):
    figure = draw(scan, np.zeros(SHAPE, np.uint8), [RED])
    assert legend(figure) == ["no structure found"]
    assert titles(figure) == ["sagittal, x = −1 mm", "coronal, y = 4 mm", "axial, z = 20 mm"]
    assert overlay(scan, np.zeros(SHAPE, np.uint8), [], tmp_path / "empty.png").stat().st_size > 0


def test_structures_in_other_slices_are_faint_in_the_legend(scan, labels):
    labels[0, 0, 0] = 5
    far = SimpleNamespace(id=5, name="far", color=(0, 0, 255))
    figure = draw(scan, labels, [far, RED])
    assert legend(figure) == ["red structure", "far (elsewhere)"]


def test_a_long_legend_is_cut(scan):
    labels = (np.arange(scan.array.size) % 60).reshape(SHAPE)
    structures = [SimpleNamespace(id=i, name=f"number {i}", color=(i, 2 * i, 3 * i)) for i in range(1, 60)]
    names = legend(draw(scan, labels, structures))
    assert len(names) == LEGEND_ENTRIES
    assert names[-2:] == [f"number {LEGEND_ENTRIES - 1}", f"and {60 - LEGEND_ENTRIES} more"]
    assert_legible(draw(scan, labels, structures))


def test_sides_of_one_colour_share_a_legend_entry(scan, labels):
    pallidum = [
        SimpleNamespace(id=RED.id, name="left pallidum", color=(12, 48, 255), mirror=GREEN.id),
        SimpleNamespace(id=GREEN.id, name="right pallidum", color=(13, 48, 255), mirror=RED.id),
    ]
    assert legend(draw(scan, labels, pallidum)) == ["pallidum"]
    pallidum[1].color = (120, 48, 255)
    assert legend(draw(scan, labels, pallidum)) == ["left pallidum", "right pallidum"]
    assert legend(draw(scan, np.where(labels == RED.id, RED.id, 0), pallidum)) == ["left pallidum"]


def test_a_single_slice_can_be_drawn(tmp_path, scan, labels):
    grid = Grid((*SHAPE[:2], 1), scan.grid.affine)
    flat = Volume(scan.array[:, :, 4:5], grid)
    figure = draw(flat, labels[:, :, 4:5], [RED])
    assert titles(figure) == ["axial, z = 5 mm"]
    assert [letters(axes) for axes in figure.axes] == [["L", "R", "P", "A"]] * 2
    assert [len(axes.collections) for axes in figure.axes] == [0, 2]
    overlay(flat, labels[:, :, 4:5], [RED], tmp_path / "flat.png")


def test_a_slice_without_contrast_can_be_drawn(tmp_path, scan, labels):
    for value in (0.0, -3.0):
        empty = Volume(np.full(SHAPE, value, np.float32), scan.grid)
        overlay(empty, labels, [RED], tmp_path / "empty.png")


def test_labels_of_another_shape_are_refused(tmp_path, scan, labels):
    with pytest.raises(VolumeError, match=r"expected an array of the grid's shape \(16, 20, 12\), got \(16, 20, 11\)"):
        overlay(scan, labels[:, :, 1:], [RED], tmp_path / "scan.png")
    assert not (tmp_path / "scan.png").exists()


def test_overlay_without_matplotlib(tmp_path, scan, labels, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[figures\]"'):
        overlay(scan, labels, [RED], tmp_path / "scan.png")


def test_neither_keras_nor_pyplot_is_loaded(tmp_path, scan, labels):
    nib.save(nib.Nifti1Image(scan.array, scan.grid.affine), tmp_path / "scan.nii")
    code = (
        "import sys; from recalib_keras import evaluation, volumes; early = 'matplotlib' in sys.modules;"
        f"scan = volumes.read({str(tmp_path / 'scan.nii')!r});"
        f"evaluation.overlay(scan, scan.array.astype(int), [], {str(tmp_path / 'scan.png')!r});"
        "print(early, sorted({'keras', 'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False []"
