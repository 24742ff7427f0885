"""Plans of sets with several channels, thick slices, and labels that are partly unknown: they train as they stand."""

import json
import shutil
import tomllib

import nibabel as nib
import numpy as np
import pytest
from training import tumours
from training.synthetic import FOLDER, IGNORED, make_partial, save, write_scans

from recalib_keras import zoo
from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping
from recalib_keras.training import Recipe, find_split, train
from recalib_keras.training.data.examples import read_scan
from recalib_keras.training.planning.duration import Budget
from recalib_keras.training.planning.facts import read_facts
from recalib_keras.training.planning.machine import GIB, Machine, seconds_per_step
from recalib_keras.training.planning.recipe_text import plan

CPU = Machine(None, 8 * GIB, False)


def planned(folder, **arguments):
    """Returns the facts of a set, and the recipe of its plan as text and as mapping."""
    facts = read_facts(folder, **arguments)
    text = plan(facts, CPU, Budget(1, step=60.0), None, folder.parent)
    return facts, text, tomllib.loads(text)


def read_first(text, data_root):
    """Returns the first training scan of a plan as its network sees it."""
    recipe = from_mapping(Recipe, tomllib.loads(text), "the plan")
    return read_scan(find_split(recipe, data_root).training[0], recipe.input, recipe.labels)


def trained(text, folder, tmp_path):
    """Trains by a plan as it stands, and returns the lines of the log."""
    (tmp_path / "plan.toml").write_text(text)
    lines = []
    train(Recipe.read(tmp_path / "plan.toml"), tmp_path / "run", folder.parent, on_epoch=lines.append)
    return lines


@pytest.mark.parametrize("as_files", [False, True])
def test_channels_are_planned_by_name(as_files, tmp_path):
    tumours.write_scans(tmp_path, as_files=as_files)
    folder = tmp_path / tumours.FOLDER
    facts, text, recipe = planned(folder)
    assert recipe["input"]["channels"] == list(tumours.CHANNELS) and recipe["input"]["normalization"] == ["zscore"] * 4
    assert [modality.name for modality in facts.modalities] == list(tumours.CHANNELS) and not facts.is_ct
    medians = [np.mean(modality.intensities) for modality in facts.modalities]
    assert medians[0] > 0.9 and abs(medians[3]) < 0.1  # the first channel shows every structure, the last one none
    assert "volume" not in recipe["data"] and "FLAIR: No CT (the set calls it FLAIR)" in " ".join(text.split())
    assert read_first(text, tmp_path).image.shape == (14, 12, 13, 4)


@pytest.mark.slow
def test_a_plan_of_channels_trains_as_it_stands(tmp_path):
    tumours.write_scans(tmp_path)
    folder, seconds = tmp_path / tumours.FOLDER, []

    def measure(recipe, shape):
        seconds.append(seconds_per_step(recipe, shape))
        return 60.0

    text = plan(read_facts(folder), CPU, Budget(1), measure, tmp_path)
    assert seconds[0] > 0 and np.isfinite([line["loss"] for line in trained(text, folder, tmp_path)]).all()


def test_each_channel_is_normalised_by_its_modality(tmp_path):
    tumours.write_scans(tmp_path, as_files=True)
    folder = tmp_path / tumours.FOLDER
    about = json.loads((folder / "dataset.json").read_text())
    about["channel_names"] = {"0": "CT", "1": "PET", "2": "T1", "3": "T2"}
    (folder / "dataset.json").write_text(json.dumps(about))
    for path in (folder / "imagesTr").glob("*_0000.nii.gz"):
        nib.save(
            nib.Nifti1Image(np.float32(100) * nib.load(path).get_fdata(dtype="float32"), np.diag([-1, 1, 1, 1])), path
        )
    methods = planned(folder)[2]["input"]["normalization"]
    assert methods[0].startswith("ct:") and methods[1:] == ["zscore"] * 3


def test_one_volume_is_called_by_its_own_name(tmp_path):
    tumours.write_scans(tmp_path)
    facts, _, recipe = planned(tmp_path / tumours.FOLDER, volume=2)
    assert recipe["data"]["volume"] == 2 and "channels" not in recipe["input"]
    assert facts.modalities[0].why == "the set calls it T1gd"


def test_volumes_without_names_are_numbered(tmp_path):
    tumours.write_scans(tmp_path)
    folder = tmp_path / tumours.FOLDER
    (folder / "dataset.json").unlink()
    _, text, recipe = planned(folder)
    assert recipe["input"]["channels"] == ["0", "1", "2", "3"]
    assert read_first(text, tmp_path).image.shape == (14, 12, 13, 4)
    image = folder / "imagesTr" / "patient_1.nii.gz"
    nib.save(nib.load(image).slicer[..., :2], image)
    with pytest.raises(RecordError, match="expected scans of the same channels, got 2 in patient_1, 4 in patient_0"):
        read_facts(folder)


def test_a_preset_of_one_channel_is_planned_for_several(tmp_path):
    tumours.write_scans(tmp_path)
    facts = read_facts(tmp_path / tumours.FOLDER)
    text = plan(facts, CPU, Budget(1, step=60.0), None, tmp_path, "unet3d_pe", "hippocampus")
    recipe, described = tomllib.loads(text), zoo.weight_set("unet3d_pe", "hippocampus").input
    assert recipe["input"]["channels"] == list(tumours.CHANNELS) and len(recipe["input"]["normalization"]) == 4
    assert tuple(recipe["input"]["window"]) == described.window


@pytest.fixture
def partial(tmp_path):
    """Balls in thick slices, whose core was looked for in every other scan; nobody looked at one corner."""
    write_scans(tmp_path)
    folder = tmp_path / FOLDER
    make_partial(folder)
    for path in folder.glob("*Tr/*.nii.gz"):
        save(path, np.asarray(nib.load(path).dataobj).repeat(2, axis=0).repeat(2, axis=1), voxel=(1, 1, 2))
    labels = {"background": 0, "shell": 17, "core": 53, "ignore": IGNORED}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


@pytest.mark.slow
def test_what_is_unknown_is_planned_as_unknown(partial, tmp_path):
    facts, text, recipe = planned(partial)
    assert [label["id"] for label in recipe["labels"]] == [0, 17, 53]  # what nobody looked at is not a structure
    assert facts.looked_for == {17: 6, 53: 3} and facts.scans_with == {17: 6, 53: 3}
    assert "shell 6, core 3 of 3. Where a number follows `of`" in " ".join(text.replace("#", " ").split())
    assert facts.foreground < 0.3 and recipe["network"]["arguments"]["pool_sizes"][0] == [2, 2, 1]
    lines = trained(text, partial, tmp_path)
    assert np.isfinite([line["loss"] for line in lines]).all() and "core" in lines[-1]["dice_by_structure"]


def test_real_contours_of_which_some_are_missing_are_planned(data_root, tmp_path):
    source, folder = data_root / "head_and_neck", tmp_path / "head_and_neck"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
        for name in ("pt_001", "pt_003"):
            shutil.copy(source / part / f"{name}.nii.gz", folder / part)
    for name in ("annotated.json", "dataset.json"):
        shutil.copy(source / name, folder)
    facts, _, recipe = planned(folder)
    assert facts.is_ct and recipe["input"]["normalization"].startswith("ct:")
    assert facts.looked_for[1] == 2 and facts.looked_for[5] == 1
    assert {label["name"]: label.get("mirror") for label in recipe["labels"]}["right parotid"] == 4
