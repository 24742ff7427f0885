import dataclasses
import functools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product

import keras
import nibabel as nib
import numpy as np
import pytest

import recalib_keras
from recalib_keras import volumes, zoo
from recalib_keras.inference import Ensemble, Segmenter, Undecided, open_engine, segment
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input, Label, Network, Preset, WeightSet, weights

ORIENTATIONS = ["".join(code) for axes in product("LR", "PA", "IS") for code in permutations(axes)]


def places(grid):
    """Returns the place (mm) of each voxel, `(*shape, 3)`."""
    return np.stack(np.indices(grid.shape), -1) @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def egg(grid):
    """Returns a scan whose intensity falls smoothly from 2 at the middle of an egg to 0 far outside.

    It passes 1.5 on an ellipsoid of half axes 5, 6 and 7 mm, and 0.5 on one of three times these. The egg stands aside
    of the middle and leans, so that no turn leaves it as it is.
    """
    x, y, z = np.moveaxis(places(grid) - (1.0, -2.0, 3.0), -1, 0)
    radius = np.sqrt(((x + 0.2 * y) / 5) ** 2 + (y / 6) ** 2 + ((z - 0.1 * x) / 7) ** 2)
    return Volume(np.maximum(0, 2 - 0.5 * radius).astype("float32"), grid)


def box(spacing, extent=48.0):
    """Returns a grid of voxels of `spacing` mm over a cube of `extent` mm around the origin."""
    spacing = np.broadcast_to(np.asarray(spacing, float), 3)
    shape = np.round(extent / spacing).astype(int)
    affine = np.diag([*spacing, 1])
    affine[:3, 3] = -(shape - 1) * spacing / 2
    return Grid(tuple(shape), affine)


def in_space(labels, grid):
    """Returns labels turned to RAS."""
    return volumes.resample(labels, grid, grid.oriented("RAS"), order=0)


def test_a_scan_in_any_orientation_has_the_same_labels_in_space(threshold_segmenter):
    segmenter = threshold_segmenter(
        window=(12, 10, 8), thresholds=(1.0, 1.5), orientation="LIA", normalization="zscore"
    )
    scan = egg(Grid((14, 12, 11), box(1.5, extent=18).affine))
    expected = in_space(segmenter(scan).labels, scan.grid)
    assert len(ORIENTATIONS) == 48 and set(np.unique(expected)) == {0, 17, 53}
    for code in ORIENTATIONS:
        turned = scan.conform(code)
        labels = segmenter(turned).labels
        assert labels.shape == turned.grid.shape
        assert np.array_equal(in_space(labels, turned.grid), expected), code


@pytest.mark.parametrize("spacing", [1.0, 0.8, 1.5, (0.75, 1.0, 2.0), (2.0, 1.0, 1.0)])
def test_volumes_hardly_depend_on_the_scans_spacing(spacing, threshold_segmenter):
    segmenter = threshold_segmenter(window=(32, 32, 32), thresholds=(0.9, 1.2), spacing=(1.0, 1.0, 1.0))
    scan = egg(box(spacing))
    labels = segmenter(scan).labels
    # The half axes at an intensity of 2 - r / 2.
    for lowest, number in ((0.9, (17, 53)), (1.2, (53,))):
        expected = 4 / 3 * np.pi * 5 * 6 * 7 * ((2 - lowest) / 0.5) ** 3
        assert np.isin(labels, number).sum() * scan.grid.voxel_volume == pytest.approx(expected, rel=0.03)


def test_an_oblique_scan_has_its_labels_where_the_structure_is(threshold_segmenter):
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.0, 1.0, 1.5])
    affine[:3, 3] = -affine[:3, :3] @ (20, 20, 14)
    scan = egg(Grid((41, 41, 29), affine))
    labels = threshold_segmenter(window=(32, 32, 32), thresholds=(1.0, 1.2), spacing=(1.0, 1.0, 1.0))(scan).labels
    truth = np.select([scan.array > 1.2, scan.array > 1.0], [53, 17], 0)
    assert (labels != truth).mean() < 0.01


@pytest.mark.parametrize("ids", [(0, 17, 53), (0, 2, 1), (5, 1, 300)])
def test_classes_become_the_numbers_of_their_labels(ids, threshold_segmenter):
    scan = egg(box(2.0, extent=32))
    labels = threshold_segmenter(ids=ids, thresholds=(0.5, 1.5), spacing=None)(scan).labels
    assert np.array_equal(labels, np.array(ids)[(scan.array > 0.5).astype(int) + (scan.array > 1.5)])


def test_background_is_the_first_label_even_where_another_number_is_lower(threshold_segmenter):
    """The scan reaches beyond the last whole millimetre, where there is nothing but background."""
    scan = egg(box((0.2, 1.0, 1.0), extent=28.4))
    segmenters = [
        threshold_segmenter(ids=ids, thresholds=(1.2, 1.6), spacing=(1.0, 1.0, 1.0)) for ids in ((0, 1, 2), (9, 1, 2))
    ]
    plain, odd = (segmenter(scan).labels for segmenter in segmenters)
    assert np.array_equal(odd, np.where(plain == 0, 9, plain)) and (odd[0] == 9).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_2d_network_sees_slices(axis, threshold_segmenter):
    window = tuple(1 if index == axis else 16 for index in range(3))
    scan = egg(box(2.0, extent=36))
    segmenter = threshold_segmenter(window=window, thresholds=(0.7, 1.5))
    assert segmenter.engine.model.input_shape == (None, 16, 16, 1)
    truth = np.select([scan.array > 1.5, scan.array > 0.7], [53, 17], 0)
    assert np.array_equal(segmenter(scan).labels, truth)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_2d_network_may_see_the_slices_beside_its_own(axis, threshold_segmenter):
    window = tuple(1 if index == axis else 16 for index in range(3))
    scan = egg(box(2.0, extent=36))
    segmenter = threshold_segmenter(window=window, thresholds=(0.7, 1.5), context=1)
    assert segmenter.engine.model.input_shape == (None, 16, 16, 3)
    kernel, bias = segmenter.engine.model.get_weights()
    for place in (-1, 0, 1):
        segmenter.engine.model.set_weights([np.roll(kernel, place, axis=-2), bias])
        size = scan.array.shape[axis]
        beside = scan.array.take(np.clip(np.arange(size) + place, 0, size - 1), axis)
        assert np.array_equal(segmenter(scan).labels, np.select([beside > 1.5, beside > 0.7], [53, 17], 0))


def test_progress_wraps_the_windows(threshold_segmenter):
    lengths = []
    scan = egg(box(2.0, extent=36))
    threshold_segmenter(window=(18, 18, 8))(scan, progress=lambda tasks: lengths.append(len(tasks)) or tasks)
    assert lengths == [4]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A folder of a preset with two weight sets of random weights."""
    folder = tmp_path_factory.mktemp("random")
    weight_sets = {}
    for seed, name in enumerate(("first", "second")):
        keras.utils.set_random_seed(seed)
        network = Network("UNet", {"levels": 1, "filters": 2, "normalization": "instance"})
        expects = Input((8, 8, 8), "LIA", (2.0, 2.0, 2.0))
        labels = (Label(0, "background"), Label(17, "left"), Label(1053, "right"))
        model = network.build(expects.shape, len(labels))
        content = weights.serialize(model)
        (folder / f"{name}.safetensors").write_bytes(content)
        file, digest = f"{name}.safetensors", weights.sha256(content)
        weight_sets[name] = WeightSet(name, network, expects, labels, file, digest, model.count_params())
    (folder / "preset.json").write_text(Preset("random", weight_sets).to_json())
    return folder


@pytest.fixture
def image():
    """A scan with an oblique place, of 1.5 mm, whose codes are not the usual ones."""
    affine = np.array([[-1.5, 0.1, 0, 12], [0.1, 1.5, 0, -8], [0, 0, 2, 5], [0, 0, 0, 1]])
    image = nib.Nifti1Image(np.random.default_rng(3).normal(size=(12, 11, 9)).astype("float32"), affine)
    image.set_sform(affine, code=4)
    image.set_qform(affine, code=2)
    return image


def test_segments_a_file_or_an_image_on_its_own_grid(preset, image, tmp_path):
    image.to_filename(tmp_path / "scan.nii.gz")
    from_file = segment(tmp_path / "scan.nii.gz", preset)
    from_memory = recalib_keras.segment(image, preset=preset)
    for result in (from_file, from_memory):
        assert result.shape == image.shape and np.array_equal(result.affine, image.affine)
        assert (int(result.header["sform_code"]), int(result.header["qform_code"])) == (4, 2)
        np.testing.assert_allclose(result.header.get_zooms(), image.header.get_zooms())
        assert result.get_data_dtype() == np.uint16 and result.header.get_xyzt_units() == image.header.get_xyzt_units()
    labels = np.asarray(from_file.dataobj)
    assert np.array_equal(labels, np.asarray(from_memory.dataobj))
    assert len(np.unique(labels)) > 1 and set(np.unique(labels)) <= {0, 17, 1053}
    by_hand = Segmenter(zoo.weight_set(preset), zoo.load(preset))(volumes.read(image)).labels
    assert np.array_equal(labels, by_hand)


def test_segments_with_another_weight_set(preset, image):
    first, second = (np.asarray(segment(image, preset, weights=name).dataobj) for name in ("first", "second"))
    assert np.array_equal(first, np.asarray(segment(image, str(preset)).dataobj))
    assert not np.array_equal(first, second)


def test_a_preset_written_anew_is_loaded_anew(preset, image, tmp_path):
    folder = shutil.copytree(preset, tmp_path / "preset")
    before = np.asarray(segment(image, folder).dataobj)
    described = zoo.info(folder)
    swapped = dict(zip(described.weight_sets, reversed(described.weight_sets.values())))
    (folder / "preset.json").write_text(dataclasses.replace(described, weight_sets=swapped).to_json(), encoding="utf-8")
    assert not np.array_equal(np.asarray(segment(image, folder).dataobj), before)


def test_segments_one_volume_of_many(preset, image):
    array = np.stack([np.zeros(image.shape), image.get_fdata()], -1).astype("float32")
    array[0, 0, 0, 0] = 1
    many = nib.Nifti1Image(array, image.affine, image.header)
    with pytest.raises(volumes.VolumeError, match="a 4-D image of 2 volumes; choose one"):
        segment(many, preset)
    chosen = segment(many, preset, volume=1)
    assert chosen.shape == image.shape
    assert np.array_equal(np.asarray(chosen.dataobj), np.asarray(segment(image, preset).dataobj))


def test_an_unknown_preset_or_weight_set(preset, image):
    with pytest.raises(ValueError, match="expected the name of a preset, got 'nothing'"):
        segment(image, "nothing")
    with pytest.raises(
        ValueError, match="expected weights of the preset 'random', got 'third'; known weights: first, second"
    ):
        segment(image, preset, weights="third")


LABELS = (Label(0, "background"), Label(3, "left", mirror=4), Label(4, "right", mirror=3))
VIEWS = {"sagittal": (1, 8, 8), "coronal": (8, 1, 8), "axial": (8, 8, 1)}


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """A preset with a weight set for each view, of random weights; its folder."""
    folder = tmp_path_factory.mktemp("views")
    weight_sets = {}
    for seed, (name, window) in enumerate(VIEWS.items()):
        keras.utils.set_random_seed(seed)
        network, expects = Network("UNet", {"levels": 1, "filters": 4, "normalization": "instance"}), Input(window)
        model = network.build(expects.shape, len(LABELS))
        content = weights.serialize(model)
        (folder / f"{name}.safetensors").write_bytes(content)
        weight_sets[name] = WeightSet(
            name, network, expects, LABELS, f"{name}.safetensors", weights.sha256(content), model.count_params()
        )
    (folder / "preset.json").write_text(Preset("views", weight_sets).to_json())
    return folder


@pytest.fixture
def small_image():
    return nib.Nifti1Image(np.random.default_rng(0).normal(size=(8, 9, 8)).astype("float32"), np.eye(4))


def labels_of(image):
    return np.asarray(image.dataobj)


EXACT = {"engine": "keras", "precision": "float32"}


def test_several_weight_sets_are_averaged(views, small_image):
    shares = {"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}
    members = [(Segmenter.from_preset(views, name), share) for name, share in shares.items()]
    expected = Ensemble(members)(volumes.read(small_image)).labels
    labels = labels_of(recalib_keras.segment(small_image, views, weights=shares, **EXACT))
    assert np.array_equal(labels, expected) and len(np.unique(labels)) == 3
    for name in shares:
        assert not np.array_equal(labels, labels_of(segment(small_image, views, weights=name, **EXACT)))


def test_an_ensemble_of_the_preset_goes_by_its_name(views, small_image, tmp_path):
    folder, shares = shutil.copytree(views, tmp_path / "views"), {"sagittal": 0.2, "axial": 0.8}
    preset = dataclasses.replace(zoo.info(folder), ensembles={"all": shares})
    (folder / "preset.json").write_text(preset.to_json())
    expected = labels_of(segment(small_image, views, weights=shares, **EXACT))
    assert np.array_equal(labels_of(segment(small_image, folder, weights="all", **EXACT)), expected)
    assert np.array_equal(
        labels_of(segment(small_image, folder, **EXACT)), expected
    )  # the first weights are part of it
    alone = labels_of(segment(small_image, views, weights="sagittal", **EXACT))
    assert np.array_equal(labels_of(segment(small_image, folder, weights="sagittal", **EXACT)), alone)


def test_names_alone_count_the_same(views, small_image):
    by_names = labels_of(segment(small_image, views, weights=["axial", "coronal"], **EXACT))
    by_shares = labels_of(segment(small_image, views, weights={"axial": 2, "coronal": 2}, **EXACT))
    assert np.array_equal(by_names, by_shares)
    ensemble = Segmenter(views, weights=["axial", "coronal"], **EXACT)
    assert [weight for _, weight in ensemble.members] == [1, 1]
    assert len(Segmenter(views, weights="axial", **EXACT).members) == 1


def test_a_description_that_is_mended_counts_at_once(views, small_image, tmp_path):
    folder = shutil.copytree(views, tmp_path / "views")
    before = labels_of(segment(small_image, folder, weights="axial", **EXACT))
    text = (folder / "preset.json").read_text()
    (folder / "preset.json").write_text(text.replace('"id": 4', '"id": 9').replace('"mirror": 4', '"mirror": 9'))
    after = labels_of(segment(small_image, folder, weights="axial", **EXACT))
    assert 4 in before and np.array_equal(after, np.where(before == 4, 9, before))


def test_threads_get_their_own_labels(openvino, bright_preset):
    """OpenVINO writes over its last result, whoever asks next."""
    arrays = np.random.default_rng(0).normal(size=(8, 40, 40, 40)).astype("float32")
    images = [nib.Nifti1Image(array, np.eye(4)) for array in arrays]
    one_by_one = functools.partial(segment, preset=bright_preset, engine="openvino", precision="float32")
    expected = [labels_of(one_by_one(image)) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(np.array_equal, map(labels_of, pool.map(one_by_one, images)), expected))


def test_flips_reach_every_member(views, small_image):
    one, both = (
        labels_of(segment(small_image, views, weights="axial", flips=flips, **EXACT)) for flips in (False, True)
    )
    assert not np.array_equal(one, both)
    by_hand = Segmenter.from_preset(views, "axial", flips=True)(volumes.read(small_image)).labels
    assert np.array_equal(both, by_hand)
    ensemble = Segmenter(views, weights=["axial", "coronal"], flips=True, **EXACT)
    assert all(network.flips for network, _ in ensemble.members)


def test_an_undecided_segmenter_is_decided_by_its_first_scan(
    openvino, bright_preset, small_image, tmp_path, monkeypatch
):
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path))
    segmenter = Segmenter(bright_preset)
    assert isinstance(segmenter.engine, Undecided)
    scan = volumes.read(small_image)
    labels = segmenter(scan).labels
    assert not isinstance(segmenter.engine, Undecided)
    expected = np.where(scan.array > scan.array.mean() + 0.002 * scan.array.std(), 7, 0)
    assert (labels == expected).mean() > 0.99
    assert type(Segmenter(bright_preset).engine) is type(segmenter.engine)


def test_a_scan_without_structures_decides_nothing(openvino, bright_preset, tmp_path, monkeypatch):
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path))
    array = np.zeros((8, 8, 8), "float32")
    array[0, 0, 0] = -1000  # all else is above the mean by a hair, less than what counts as bright
    network = open_engine(bright_preset)
    described = zoo.weight_set(bright_preset)
    described = dataclasses.replace(described, input=dataclasses.replace(described.input, normalization="none"))
    segmenter = Segmenter(described, network)
    assert (segmenter(Volume(array, Grid(array.shape, np.eye(4)))).labels == 0).all()
    assert isinstance(segmenter.engine, Undecided) and list(tmp_path.iterdir()) == []


def test_segments_by_the_engine_that_is_asked_for(openvino, bright_preset, small_image):
    results = [
        labels_of(segment(small_image, bright_preset, engine=engine, precision="float32"))
        for engine in ("keras", "openvino")
    ]
    assert np.array_equal(*results) and set(np.unique(results[0])) == {0, 7}


def test_names_without_keras():
    """Keras takes seconds to import, and OpenVINO does without it."""
    code = "import sys, recalib_keras.inference; print({'keras', 'tensorflow', 'openvino'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
