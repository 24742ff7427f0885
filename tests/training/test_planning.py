"""Plans: what follows from a set of scans, against nnU-Net's published rules, and a recipe that trains as it stands."""

import dataclasses
import json
import re
import shutil
import tomllib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from training.synthetic import FOLDER, write_scans

from recalib_keras import zoo
from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping
from recalib_keras.datasets import DatasetError
from recalib_keras.training import Recipe, train
from recalib_keras.training.planning.decisions import label_tables
from recalib_keras.training.planning.duration import Budget, duration
from recalib_keras.training.planning.facts import Facts, Modality, read_facts
from recalib_keras.training.planning.geometry import geometry, kernel_sizes, pooling, target_spacing
from recalib_keras.training.planning.machine import GIB, Machine, seconds_per_step
from recalib_keras.training.planning.recipe_text import plan

CPU, GPU = Machine(None, 8 * GIB, True), Machine("NVIDIA H200", 40 * GIB, True)


def facts(shape, spacing, scans=20, labels=None, is_ct=False, **others):
    """Returns the facts of equal scans."""
    labels = labels or {1: "liver", 2: "lesion"}
    values = {
        "folder": Path("livers"),
        "dataset": "msd",
        "volume": None,
        "patients": scans,
        "shapes": np.array([shape] * scans),
        "spacings": np.array([spacing] * scans, float),
        "modalities": (Modality("", is_ct, "the set calls it CT", (-17.2, 201.4)),),
        "labels": labels,
        "scans_with": dict.fromkeys(labels, scans),
        "looked_for": dict.fromkeys(labels, scans),
        "volumes": dict.fromkeys(labels, 10.0),
        "foreground": 0.05,
        "source": "livers",
        "licence": None,
    }
    return Facts(**{**values, **others})


def planned(found, machine=CPU, budget=None, **arguments):
    text = plan(found, machine, budget or Budget(60, step=1.0), measure=None, **arguments)
    return tomllib.loads(text), text


def test_isotropic_scans_are_resampled_to_their_median():
    spacings = np.array([[1.0, 1, 1], [1, 1, 1.2], [0.9, 1, 1.4]])
    assert target_spacing(spacings).tolist() == [1, 1, 1.2]


def test_a_coarse_axis_gets_a_finer_spacing():
    """As prostates in nnU-Net's set: 0.625 x 0.625 x 3.6 mm; of the slices the 10th percentile counts."""
    spacings = np.array([[0.625, 0.625, thickness] for thickness in np.linspace(3, 4, 11)])
    assert target_spacing(spacings).tolist() == pytest.approx([0.625, 0.625, 3.1])


def test_a_coarse_axis_is_pooled_later():
    """nnU-Net pools prostates of 20 x 320 x 256 voxels twice along the slices, and 6 times along the others."""
    pools = np.array(pooling((320, 256, 20), (0.625, 0.625, 3.6)))
    assert pools.prod(axis=0).tolist() == [32, 32, 4]
    assert pools[0].tolist() == [2, 2, 1] and pools[:2].prod(axis=0)[2] == 1


@pytest.mark.parametrize(
    ("shape", "spacing", "budget"),
    [
        ((36, 50, 35), (1, 1, 1), 2**18),  # hippocampus
        ((128, 128, 128), (3.9, 3.9, 2.5), 2**18),  # head and neck
        ((512, 512, 482), (0.77, 0.77, 1.0), 2**21),  # livers
        ((320, 320, 20), (0.6, 0.6, 3.6), 2**20),  # prostates
        ((9, 300, 300), (5, 0.5, 0.5), 2**18),
        ((5, 6, 4), (1, 1, 1), 2**18),
    ],
)
def test_windows_fit_the_budget_the_scan_and_the_pooling(shape, spacing, budget):
    found = geometry(np.array([shape] * 3), np.array([spacing] * 3, float), budget)
    steps = np.array(found.pools).prod(axis=0)
    window = np.array(found.window)
    assert (window % steps == 0).all() and 1 <= len(found.pools) <= 5
    assert window.prod() <= budget or (window == steps).all()
    assert (window < np.array(found.shape) + steps).all()
    assert (window // steps >= np.where(window > 8, 2, 1)).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scans_of_a_few_slices_are_seen_slice_by_slice(axis):
    shape, spacing = np.insert([300, 200], axis, 5), np.insert([0.5, 0.5], axis, 6.0)
    found, text = planned(facts(tuple(shape), tuple(spacing)))
    assert found["input"]["window"][axis] == 1 and found["preset"] == "unet2d_scse"
    assert sorted(found["input"]["window"])[1:] == [224, 320] and found["network"]["arguments"]["levels"] == 5
    assert found["schedule"]["batch_size"] == 7 and "One slice after the other" in text


def test_windows_are_about_as_long_in_mm_along_each_axis():
    found = geometry(np.array([[512, 512, 482]] * 3), np.array([[0.77, 0.77, 1.0]] * 3), 2**20)
    lengths = np.array(found.window) * found.spacing
    assert lengths.max() / lengths.min() < 1.5
    assert found.coarsening == 2.0  # even so a window covers little of such a scan
    assert geometry(np.array([[100] * 3] * 3), np.ones((3, 3)), 2**18).coarsening == 1


def test_a_gpu_gets_larger_windows_and_wider_networks():
    livers = facts((512, 512, 482), (0.77, 0.77, 1.0), is_ct=True)
    small, large = (planned(livers, machine)[0] for machine in (CPU, GPU))
    assert np.prod(large["input"]["window"]) > 4 * np.prod(small["input"]["window"])
    assert small["network"]["arguments"]["filters"][0] == 16 and large["network"]["arguments"]["filters"][0] == 32
    assert large["network"]["arguments"]["filters"][-1] <= 320


def test_ct_is_clipped_to_the_structures_and_mri_is_not():
    assert planned(facts((80,) * 3, (1,) * 3, is_ct=True))[0]["input"]["normalization"] == "ct:-17:201"
    assert planned(facts((80,) * 3, (1,) * 3))[0]["input"]["normalization"] == "zscore"


def test_sides_are_paired_and_flipped():
    sides = facts((80,) * 3, (1,) * 3, labels={1: "RightParotid", 2: "left_parotid", 3: "larynx", 4: "parotid L"})
    mirrors = {label["id"]: label.get("mirror") for label in label_tables(sides)}
    assert mirrors == {0: None, 1: 2, 2: 1, 3: None, 4: None}
    assert planned(sides)[0]["augmentation"]["flip"] == 0  # one side of the last is missing
    sides = facts((80,) * 3, (1,) * 3, labels={1: "RightParotid", 2: "LeftParotid", 3: "larynx"})
    assert {label["id"]: label.get("mirror") for label in label_tables(sides)} == {0: None, 1: 2, 2: 1, 3: None}
    found, text = planned(sides)
    assert found["augmentation"]["flip"] == 0.5 and "change places" in text
    for labels, why in (({1: "left hippocampus"}, "has no counterpart"), ({1: "tumour"}, "no label has a side")):
        found, text = planned(dataclasses.replace(sides, labels=labels, scans_with={1: 9}, volumes={1: 1.0}))
        assert found["augmentation"]["flip"] == 0 and why in " ".join(text.replace("#", " ").split())


def test_small_structures_are_sampled_unless_a_window_shows_the_whole_scan():
    large, small = planned(facts((200,) * 3, (1,) * 3))[0], planned(facts((40,) * 3, (1,) * 3))[0]
    assert large["schedule"]["foreground"] == 0.33 and large["schedule"]["sampling"] == "class"
    assert small["schedule"]["foreground"] == 0 and "sampling" not in small["schedule"]


@pytest.mark.parametrize(
    ("budget", "epochs", "steps"),
    [
        (Budget(60, step=1.0), 35, 100),  # 4 scans of 8 windows, 1 s each: 5 s a validation
        (Budget(1, step=1.0), 5, 9),
        (Budget(0.1, step=60.0), 5, 1),
        (Budget(1e5, step=0.01), 1000, 100),
        (Budget(60, epochs=7), 7, 100),
    ],
)
def test_epochs_follow_from_the_minutes_and_a_step(budget, epochs, steps):
    schedule = planned(facts((80,) * 3, (1,) * 3), budget=budget)[0]["schedule"]
    assert (schedule["epochs"], schedule["steps_per_epoch"]) == (epochs, steps)
    assert schedule["average"] == (0.99 if epochs * steps >= 1000 else 0)


def test_a_long_validation_is_made_seldom():
    """203 scans of many windows, of which 41 validate: a pass takes 41 x 27 windows, 369 s where a step takes 2 s."""
    found = geometry(np.array([[128] * 3] * 3), np.ones((3, 3)), 2**18)
    often, seldom, never = (duration(Budget(m, step=2.0), found, 2, 41) for m in (600, 60, 2))
    assert found.window == (64, 64, 64)
    assert -(-often.epochs // often.validate_every) == 6 and seldom.validate_every == seldom.epochs
    assert never.epochs == never.validate_every == 5 and "minutes; the budget is 2 min." in never.why
    assert 3600 > seldom.epochs * seldom.steps * 2 + 2 * 369 > 3300


@pytest.mark.parametrize(
    ("patients", "every"), [(1, 0), (2, 2), (3, 3), (4, 2), (5, 3), (7, 4), (8, 4), (12, 5), (300, 5)]
)
def test_a_few_patients_are_held_out(patients, every):
    assert planned(facts((80,) * 3, (1,) * 3, scans=patients))[0]["data"]["validate_every"] == every


def test_a_machine_without_bfloat16_trains_in_float32():
    assert (
        planned(facts((80,) * 3, (1,) * 3), CPU._replace(has_bfloat16=False))[0]["schedule"]["precision"] == "float32"
    )


def test_each_key_has_a_reason_and_lines_are_short():
    _, text = planned(facts((80,) * 3, (1,) * 3))
    assert max(map(len, text.splitlines())) <= 120
    lines = text.splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"[a-z_]+ = ", line)]
    assert len(keys) > 25 and all(lines[number - 1].startswith("# ") for number in keys)


def test_regions_of_nnunet_become_labels_that_include_others(balls, tmp_path):
    shutil.copytree(balls / FOLDER, tmp_path / FOLDER)
    labels = {"background": 0, "core": [53], "ball": [53, 17]}
    (tmp_path / FOLDER / "dataset.json").write_text(json.dumps({"labels": labels, "regions_class_order": [53, 17]}))
    facts_of_balls = read_facts(tmp_path / FOLDER)
    text = plan(facts_of_balls, CPU, Budget(1, step=60), None, tmp_path)
    recipe = from_mapping(Recipe, tomllib.loads(text), "plan")
    assert [(label.id, label.name, label.includes) for label in recipe.labels[1:]] == [
        (17, "ball", (53,)),
        (53, "core", None),
    ]
    assert recipe.network.arguments["classifier_activation"] == "sigmoid"
    like = plan(facts_of_balls, CPU, Budget(1, step=60), None, tmp_path, "unet3d_pe", "hippocampus")
    assert tomllib.loads(like)["network"]["arguments"]["classifier_activation"] == "sigmoid"


@pytest.mark.slow
def test_a_plan_of_regions_trains_as_it_stands(balls, tmp_path):
    shutil.copytree(balls / FOLDER, tmp_path / FOLDER)
    labels = {"background": 0, "core": [53], "ball": [53, 17]}
    (tmp_path / FOLDER / "dataset.json").write_text(json.dumps({"labels": labels, "regions_class_order": [53, 17]}))
    text = plan(read_facts(tmp_path / FOLDER), CPU, Budget(1, step=60), None, tmp_path)
    weight_set = train(from_mapping(Recipe, tomllib.loads(text), "plan"), tmp_path / "run", tmp_path)
    assert set(weight_set.score["dice_by_structure"]) == {"ball", "core"}


def test_a_number_that_the_set_does_not_have_is_no_structure(balls, tmp_path):
    shutil.copytree(balls / FOLDER, tmp_path / FOLDER)
    (tmp_path / FOLDER / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "shell": 17}}))
    with pytest.raises(DatasetError, match="expected the label numbers 0, 17, got 53 too, as in 5 other"):
        read_facts(tmp_path / FOLDER)


def test_a_kernel_sees_across_slices_where_voxels_are_about_as_long():
    """nnU-Net convolves prostates of 0.6 x 0.6 x 3.6 mm by 3 x 3 x 1 at first: 0.6, 1.2 and only then 2.4 mm."""
    pools = pooling((320, 256, 20), (0.6, 0.6, 3.6))
    assert kernel_sizes(pools, (0.6, 0.6, 3.6))[:3] == ((3, 3, 1), (3, 3, 1), (3, 3, 3))
    arguments = planned(facts((320, 320, 20), (0.6, 0.6, 3.6)), GPU)[0]["network"]["arguments"]
    assert arguments["kernel_size"][0] == [3, 3, 1] and len(arguments["kernel_size"]) == arguments["levels"] + 1
    assert "kernel_size" not in planned(facts((80, 80, 60), (1, 1, 1.5)))[0]["network"]["arguments"]


def test_a_plan_says_how_coarse_axes_are_pooled():
    found, text = planned(facts((320, 320, 20), (0.6, 0.6, 3.6)), GPU)
    arguments = found["network"]["arguments"]
    assert arguments["pool_sizes"][0] == [2, 2, 1] and arguments["levels"] == len(arguments["pool_sizes"])
    assert (np.array(found["input"]["window"]) % np.prod(arguments["pool_sizes"], axis=0) == 0).all()
    assert "coarse axes are halved later" in " ".join(text.replace("#", " ").split())
    assert "pool_sizes" not in planned(facts((36, 50, 35), (1, 1, 1)))[0]["network"]["arguments"]


@pytest.fixture(scope="module")
def balls(tmp_path_factory):
    """The data root of a tiny set with names of its labels."""
    root = tmp_path_factory.mktemp("data")
    write_scans(root)
    about = {"labels": {"0": "background", "17": "shell", "53": "core"}, "licence": "CC0", "reference": "a <b>test</b>"}
    (root / FOLDER / "dataset.json").write_text(json.dumps({**about, "modality": {"0": "MRI"}}))
    return root


def test_the_facts_of_a_set(balls):
    seen = []
    found = read_facts(balls / FOLDER, on_scan=lambda done, count: seen.append((done, count)))
    assert seen == [(number, 6) for number in range(1, 7)]
    assert (found.scans, found.patients, found.dataset, found.is_ct) == (6, 6, "msd", False)
    assert found.labels == {17: "shell", 53: "core"} and found.scans_with == {17: 6, 53: 6}
    assert (found.shapes == [14, 12, 13]).all() and (found.spacings == 1).all()
    labels = nib.load(balls / FOLDER / "labelsTr" / "ball_0.nii.gz").get_fdata()
    assert found.volumes[53] == pytest.approx((labels == 53).sum() / 1000, rel=0.2)
    assert found.foreground == pytest.approx((labels > 0).mean(), rel=0.3)
    low, high = found.modalities[0].intensities
    assert 0.5 < low < 1 and 2 < high < 2.5
    assert (found.licence, found.source) == ("CC0", "a btest/b")


def test_axes_are_those_of_the_body(tmp_path):
    """A scan that is stored with its slices first."""
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    affine = np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
    image = np.arange(288, dtype="int16").reshape(4, 8, 9)
    for part, array in (("images", image), ("labels", (image > 0).astype("uint8"))):
        nib.save(nib.Nifti1Image(array, affine), tmp_path / part / "a.nii")
    found = read_facts(tmp_path)
    assert found.dataset == "nifti_folder"
    assert found.shapes.tolist() == [[9, 8, 4]] and found.spacings.tolist() == [[1, 1, 5]]


def test_ct_is_recognised(tmp_path):
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    image = np.linspace(-1000, 400, 1000).reshape(10, 10, 10).astype("int16")
    nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / "imagesTr" / "a.nii")
    nib.save(nib.Nifti1Image((image > 0).astype("uint8"), np.eye(4)), tmp_path / "labelsTr" / "a.nii")
    found = read_facts(tmp_path)
    assert found.is_ct and "voxels below -200" in found.modalities[0].why and found.labels == {1: "label 1"}
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "T1"}}')
    assert not read_facts(tmp_path).is_ct
    assert read_facts(tmp_path, "msd/Task09_Spleen").labels == {1: "spleen"}
    nib.save(nib.Nifti1Image(np.zeros_like(image, "uint8"), np.eye(4)), tmp_path / "labelsTr" / "a.nii")
    with pytest.raises(DatasetError, match="expected label maps with structures, got only 0 in all of them"):
        read_facts(tmp_path)
    (tmp_path / "labelsTr" / "a.nii").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=r"a\.nii: expected"):
        read_facts(tmp_path)


@pytest.mark.parametrize(
    "labels",
    [
        {"labels": {"background": 0, "a": [1, 2], "b": [2, 3]}, "regions_class_order": [1, 2]},  # not nested
        {"labels": {"1": "liver", "2": "a\nb"}},
    ],
)
def test_labels_that_cannot_be_used_are_an_error(labels, tmp_path):
    """The structures would lose their names, and become one class for each number."""
    write_scans(tmp_path)
    (tmp_path / FOLDER / "dataset.json").write_text(json.dumps(labels))
    with pytest.raises(DatasetError, match=r"dataset\.json: expected"):
        read_facts(tmp_path / FOLDER)


def test_a_set_of_test_scans_alone_is_no_plan(tmp_path):
    write_scans(tmp_path, count=1)
    (tmp_path / FOLDER / "scans.csv").write_text("name,patient,part\nball_0,a,test\n")
    with pytest.raises(RecordError, match="expected scans to train on, got only scans of the test part; give some"):
        read_facts(tmp_path / FOLDER)


def test_an_unknown_layout(tmp_path):
    with pytest.raises(RecordError, match=r"expected a folder with imagesTr and labelsTr, or .*, got neither; name"):
        read_facts(tmp_path)
    with pytest.raises(RecordError, match="got no such folder"):
        read_facts(tmp_path / "none")


def test_a_planned_recipe_trains_as_it_stands(balls, tmp_path):
    found = read_facts(balls / FOLDER)
    text = plan(found, CPU, Budget(0.2), lambda recipe, shape: 2.0, balls)
    (tmp_path / "plan.toml").write_text(text)
    recipe = Recipe.read(tmp_path / "plan.toml")
    assert recipe.data.folder == FOLDER and recipe.network.arguments["levels"] == 1
    assert [label.name for label in recipe.labels] == ["background", "shell", "core"]
    lines = []
    weight_set = train(recipe, tmp_path / "run", balls, on_epoch=lines.append)
    assert lines[-1]["loss"] < lines[0]["loss"] and weight_set.held_out == ("ball_0", "ball_3")


@pytest.mark.slow
def test_a_step_is_measured(balls):
    measured = []

    def measure(recipe, shape):
        measured.append((shape, seconds_per_step(recipe, shape)))
        return measured[-1][1]

    text = plan(read_facts(balls / FOLDER), CPU, Budget(1), measure, balls)
    ((shape, seconds),) = measured
    assert shape == (14, 12, 13) and 0 < seconds < 60 and f"steps of {seconds:.2g} s" in text


def test_a_folder_outside_of_the_data_root_is_absolute(balls, tmp_path):
    found = tomllib.loads(plan(read_facts(balls / FOLDER), CPU, Budget(1, step=1), None, tmp_path))
    assert found["data"]["folder"] == str((balls / FOLDER).resolve())


def test_a_plan_may_start_from_a_preset():
    hippocampus = facts((36, 50, 35), (1, 1, 1), labels={1: "anterior hippocampus", 5: "amygdala"})
    found, _ = planned(hippocampus, like="densenet3d_pe", like_weights="hippocampus")
    described = zoo.weight_set("densenet3d_pe", "hippocampus")
    assert found["init"] == "densenet3d_pe" and found["fine_tuning"]["weights"] == "hippocampus"
    assert found["network"]["arguments"] == described.network.arguments
    assert tuple(found["input"]["window"]) == described.input.window and found["optimizer"]["learning_rate"] == 0.001
    whole_head = dataclasses.replace(hippocampus, shapes=np.array([[90, 110, 80]] * 20), spacings=np.full((20, 3), 2.0))
    assert planned(whole_head, like="densenet3d_pe", like_weights="hippocampus")[0]["schedule"]["foreground"] == 0.33
    with pytest.raises(ValueError, match="did you mean"):
        planned(hippocampus, like="densenet3d_pee")
