import subprocess
import sys
from types import SimpleNamespace

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest

from recalib_keras.evaluation import overlay
from recalib_keras.evaluation.figures.overlay import LEGEND_ENTRIES, draw
from recalib_keras.volumes import Grid, Volume, VolumeError

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
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def letters(axes):
    return [text.get_text() for text in axes.texts]


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


def test_the_slices_go_through_the_centre_of_mass(scan, labels):
    figure = draw(scan, labels, [RED])
    # The centre of RED is voxel (12, 14, 4), at (-8, -10, 5) + (12, 14 · 1.5, 4 · 3) mm.
    assert titles(figure) == ["sagittal, x = 4 mm", "coronal, y = 11 mm", "axial, z = 17 mm"]
    assert np.array_equal(shown(figure.axes[0]), scan.array[12].T[::-1])


def test_the_slice_goes_through_the_nearest_structure(scan):
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 5, 5] = RED.id
    labels[12:15, 5, 5] = GREEN.id
    figure = draw(scan, labels, [RED, GREEN])
    # Their centre of mass, x = 8.4, lies in neither; 12 is nearer to it than 2.
    assert titles(figure)[0] == "sagittal, x = 4 mm"


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
    assert titles(figure) == ["sagittal, x = 0 mm", "coronal, y = 5 mm", "axial, z = 23 mm"]
    assert overlay(scan, np.zeros(SHAPE, np.uint8), [], tmp_path / "empty.png").stat().st_size > 0


def test_a_long_legend_is_cut(scan):
    labels = (np.arange(scan.array.size) % 60).reshape(SHAPE)
    structures = [SimpleNamespace(id=i, name=f"number {i}", color=(i, 2 * i, 3 * i)) for i in range(1, 60)]
    names = legend(draw(scan, labels, structures))
    assert len(names) == LEGEND_ENTRIES
    assert names[-2:] == [f"number {LEGEND_ENTRIES - 1}", f"and {60 - LEGEND_ENTRIES} more"]


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
    assert letters(figure.axes[0]) == ["P", "A"]  # no room for the others
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
