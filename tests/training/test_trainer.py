import dataclasses
import os
import shutil
from types import SimpleNamespace

import keras
import nibabel as nib
import numpy as np
import pytest
from safetensors.numpy import load_file
from training.runs import Stop, assert_same_run, read_log, stop_after
from training.synthetic import FOLDER, changed, write_scans

from recalib_keras import datasets, zoo
from recalib_keras.inference import Segmenter
from recalib_keras.training import TrainingError, train, trainer, validate
from recalib_keras.training.validation import in_words
from recalib_keras.zoo import Label


def test_it_learns(run):
    assert run.lines[-1]["loss"] < 0.5 * run.lines[0]["loss"]
    assert run.lines[-1]["dice"] > run.lines[0]["dice"] + 0.2
    assert run.weight_set.score["dice"] > 0.8


def test_the_log_has_a_line_for_each_epoch(run, recipe):
    lines = read_log(run.folder)
    assert lines == run.lines
    assert [line["epoch"] for line in lines] == list(range(1, recipe.schedule.epochs + 1))
    losses = {"validation_loss", "validation_dice_loss", "validation_cross_entropy"}
    for line in lines:
        assert line.keys() == {"epoch", "loss", "seconds", "dice", "dice_sd", "dice_by_structure"} | losses
        assert line["dice_by_structure"].keys() == {"shell", "core"}


def test_the_best_weights_are_kept_and_described(run, recipe, data):
    described = run.weight_set
    content = (run.folder / "best.safetensors").read_bytes()
    assert described.sha256 == zoo.weights.sha256(content)
    assert (described.labels, described.input, described.network) == (recipe.labels, recipe.input, recipe.network)
    assert (described.file, described.title) == ("balls.safetensors", "balls with a core")
    assert described.data == {"source": "scans made by the tests", "licence": "CC0"}
    assert described.score["scans"] == "2 held-out validation scans" and described.score["epochs"] == 5

    model = described.build(dtype="float32")
    assert described.parameters == model.count_params()
    zoo.weights.assign(model, zoo.weights.read(run.folder / "best.safetensors"))
    _, validation = datasets.split(datasets.find_scans(data / FOLDER), every=3)
    again = validate(Segmenter(described, model), validation)
    assert again["dice"] == described.score["dice"] == max(line["dice"] for line in run.lines)


def test_a_gpu_is_named_in_the_log_and_the_score(run, recipe, data, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "accelerator", lambda: "NVIDIA H200")
    weight_set = train(changed(recipe, schedule={"epochs": 1}), tmp_path, data)
    assert [line["device"] for line in read_log(tmp_path)] == [weight_set.score["device"]] == ["NVIDIA H200"]
    assert "device" not in run.weight_set.score


@pytest.mark.slow
def test_a_stopped_run_resumes_to_the_same_weights(run, recipe, data, tmp_path):
    with pytest.raises(Stop):
        train(recipe, tmp_path, data, on_epoch=stop_after(2))
    assert len(read_log(tmp_path)) == 2
    keras.utils.set_random_seed(99)
    resumed = []
    weight_set = train(recipe, tmp_path, data, resume=True, on_epoch=resumed.append)
    assert [line["epoch"] for line in resumed] == [3, 4, 5]
    assert_same_run(tmp_path, run.folder)
    assert weight_set.sha256 == run.weight_set.sha256


def test_resuming_a_finished_run_returns_it(run, recipe, data):
    before = os.stat(run.folder / "best.safetensors").st_mtime_ns
    weight_set = train(recipe, run.folder, data, resume=True, on_epoch=stop_after(1))
    assert weight_set == run.weight_set
    assert os.stat(run.folder / "best.safetensors").st_mtime_ns == before


def test_weights_stored_in_half_precision_are_scored_as_stored(run, recipe, data, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    half = train(dataclasses.replace(recipe, storage="float16"), tmp_path / "run", data, resume=True)
    full = zoo.weights.read(run.folder / "best.safetensors")
    stored = zoo.weights.read(tmp_path / "run" / "best.safetensors", half.sha256)
    assert all(np.array_equal(stored[path], tensor.astype("float16")) for path, tensor in full.items())
    model = half.build(dtype="float32")
    zoo.weights.assign(model, stored)
    _, validation = datasets.split(datasets.find_scans(data / FOLDER), every=3)
    assert validate(Segmenter(half, model), validation)["dice_by_structure"] == half.score["dice_by_structure"]


def test_resume_starts_where_there_is_no_run(recipe, data, tmp_path):
    with pytest.raises(Stop):
        train(recipe, tmp_path, data, resume=True, on_epoch=stop_after(1))


def test_refuses_a_folder_that_holds_a_run(run, recipe, data):
    before = (run.folder / "checkpoint.safetensors").read_bytes()
    with pytest.raises(
        TrainingError, match="a folder without a run, got one that already holds a run; continue it with --resume, or"
    ):
        train(recipe, run.folder, data)
    assert (run.folder / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"network": {"arguments": {"levels": 1, "filters": 2}}}, "its recipe has network.arguments.filters = 4, this"),
        ({"schedule": {"epochs": 4}}, "its recipe has schedule.epochs = 5, this one schedule.epochs = 4; resume with"),
        ({"data": {"held_out": ("ball_1",)}}, "got one of another run: .*; resume with the recipe and the scans"),
    ],
)
def test_refuses_to_resume_by_another_recipe(tables, message, run, recipe, data):
    before = (run.folder / "checkpoint.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=message):
        train(changed(recipe, **tables), run.folder, data, resume=True)
    assert (run.folder / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.slow
def test_a_finished_run_continues_with_more_epochs(run, recipe, data, tmp_path):
    """Stopped on the way, it still comes to the same end."""
    longer, lines = changed(recipe, schedule={"epochs": 7}), []
    for name in ("once", "stopped"):
        shutil.copytree(run.folder, tmp_path / name)
    with pytest.warns(UserWarning, match="the run began with 5 epochs and continues to 7"):
        train(longer, tmp_path / "once", data, resume=True, on_epoch=lines.append)
    assert [line["epoch"] for line in lines] == [6, 7] and read_log(tmp_path / "once")[:5] == run.lines
    with pytest.warns(UserWarning, match="continues to 7"), pytest.raises(Stop):
        train(longer, tmp_path / "stopped", data, resume=True, on_epoch=stop_after(6))
    train(longer, tmp_path / "stopped", data, resume=True)
    assert_same_run(tmp_path / "stopped", tmp_path / "once")


def test_refuses_to_resume_on_other_scans(run, recipe, tmp_path):
    write_scans(tmp_path, count=7)  # every third is held out: the seventh too
    with pytest.raises(
        TrainingError, match="its validation scans did not include 'ball_6'; resume with the recipe and the scans"
    ):
        train(recipe, run.folder, tmp_path, resume=True)


def test_the_data_folder_is_surveyed_once(recipe, data, tmp_path, monkeypatch):
    surveyed, find_scans = [], datasets.find_scans

    def find_and_count(folder, *args):
        surveyed.append(folder)
        return find_scans(folder, *args)

    monkeypatch.setattr(datasets, "find_scans", find_and_count)
    train(changed(recipe, schedule={"epochs": 1}), tmp_path, data)
    assert surveyed == [data / FOLDER]


@pytest.mark.slow
def test_validates_as_often_as_asked_and_at_the_end(recipe, data, tmp_path):
    lines = []
    train(changed(recipe, schedule={"epochs": 3, "validate_every": 2}), tmp_path, data, on_epoch=lines.append)
    assert ["dice" in line for line in lines] == [False, True, True]


@pytest.mark.slow
def test_a_run_that_never_scores_still_ends(recipe, data, tmp_path, monkeypatch):
    nothing = {"dice": 0.0, "dice_sd": 0.0, "dice_by_structure": {}, "unmeasured": 1}
    monkeypatch.setattr(trainer, "validate", lambda *args, **kwargs: nothing)
    weight_set = train(changed(recipe, schedule={"epochs": 1}), tmp_path, data)
    assert weight_set.score["dice"] == 0 and (tmp_path / "best.safetensors").exists()


def test_reports_each_step(recipe, data, tmp_path):
    steps = []
    train(
        changed(recipe, schedule={"epochs": 2, "steps_per_epoch": 3}),
        tmp_path,
        data,
        on_step=lambda *progress: steps.append(progress),
    )
    assert [step[:3] for step in steps] == [(epoch, step, 3) for epoch in (1, 2) for step in (1, 2, 3)]
    assert all(np.isfinite(step[3]) for step in steps)


def test_labels_can_be_merged(recipe, data, tmp_path):
    """The core counts as shell in training and validation."""
    merged = dataclasses.replace(recipe.data, merge={"53": 17})
    whole = dataclasses.replace(recipe, data=merged, labels=(recipe.labels[0], Label(17, "whole ball")))
    weight_set = train(whole, tmp_path, data)
    assert weight_set.score["dice_by_structure"].keys() == {"whole ball"} and weight_set.score["dice"] > 0.8


@pytest.mark.slow
def test_the_moving_average_is_what_is_validated_and_kept(recipe, data, tmp_path):
    averaged = changed(recipe, schedule={"average": 0.8, "epochs": 3})
    weight_set = train(averaged, tmp_path / "run", data)
    best, checkpoint = (load_file(tmp_path / "run" / f"{name}.safetensors") for name in ("best", "checkpoint"))
    averages = {name.split("/")[-1]: tensor for name, tensor in checkpoint.items() if "average" in name}
    last = {"/".join(name.split("/")[2:]): tensor for name, tensor in checkpoint.items() if name.startswith("model")}
    kernel = "classifier/kernel"
    assert not np.array_equal(best[kernel], last[kernel])
    assert any(np.array_equal(best[kernel], average) for average in averages.values())
    assert weight_set.score["dice"] > 0.3

    with pytest.raises(Stop):
        train(averaged, tmp_path / "stopped", data, on_epoch=stop_after(1))
    train(averaged, tmp_path / "stopped", data, resume=True)
    assert_same_run(tmp_path / "stopped", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "loss"),
    [
        pytest.param(
            {"name": "sgd", "momentum": 0.95, "weight_decay": 1e-4},
            {"class_weights": "median_frequency", "dice": 0.0},
            id="sgd",
            marks=pytest.mark.slow,
        ),
        pytest.param({"name": "adamw"}, {"cross_entropy": 0.0}, id="adamw", marks=pytest.mark.slow),
        pytest.param({"name": "muon"}, {"class_weights": "median_frequency", "dice": 0.0}, id="muon"),
    ],
)
def test_learns_by_other_losses_and_optimizers(loss, optimizer, recipe, data, tmp_path):
    lines = []
    train(changed(recipe, loss=loss, optimizer=optimizer), tmp_path, data, on_epoch=lines.append)
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"] and lines[-1]["dice"] > lines[0]["dice"] + 0.1


@pytest.mark.slow
def test_trains_a_2d_network_in_mixed_precision(recipe, data, tmp_path):
    planar = changed(
        recipe,
        input={"window": (12, 1, 12)},
        network={"arguments": {"levels": 1, "filters": 4, "normalization": "batch"}},
        schedule={"precision": "mixed_bfloat16", "epochs": 5, "examples_per_scan": 24, "batch_size": 8},
    )
    lines = []
    weight_set = train(planar, tmp_path, data, on_epoch=lines.append)
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"] and weight_set.score["dice"] > 0.7
    assert {tensor.dtype for tensor in load_file(tmp_path / "best.safetensors").values()} == {np.dtype("float32")}


def test_refuses_a_set_without_training_scans(recipe, tmp_path):
    write_scans(tmp_path / "data", count=1)
    with pytest.raises(TrainingError, match="expected scans to train on besides the validation scans, got 1 in all"):
        train(recipe, tmp_path / "run", tmp_path / "data")


def fake_segmenter(predictions, *names):
    """Returns a fake `Segmenter` that returns the given label maps, one after the other."""
    answers = iter(predictions)

    class Fake:
        labels = tuple(Label(index, name) for index, name in enumerate(("background", *names)))

        def __call__(self, scan, measure_uncertainty=True):
            array = next(answers)
            return SimpleNamespace(labels=array, label_map=SimpleNamespace(array=array))

    return Fake()


def labelled_scans(folder, truths):
    """Writes scans with the given label maps and finds them."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir()
    for index, truth in enumerate(truths):
        image = np.arange(truth.size, dtype="float32").reshape(truth.shape)
        for part, array in (("imagesTr", image), ("labelsTr", truth)):
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / part / f"{index}.nii")
    return datasets.find_scans(folder)


def row(*values):
    return np.array(values, "uint8").reshape(-1, 1, 1)


def test_validate_takes_means_over_structures_then_over_scans(tmp_path):
    scans = labelled_scans(tmp_path, [row(1, 1, 2, 0), row(1, 0, 2, 2)])
    segmenter = fake_segmenter([row(1, 0, 2, 0), row(1, 0, 0, 0)], "left", "right")
    # Scan 1: 2/3 and 1. Scan 2: 1 and 0.
    assert validate(segmenter, scans) == {
        "dice": pytest.approx((5 / 6 + 1 / 2) / 2, abs=1e-4),
        "dice_sd": pytest.approx((5 / 6 - 1 / 2) / np.sqrt(2), abs=1e-4),
        "dice_by_structure": {"left": pytest.approx(5 / 6, abs=1e-4), "right": 0.5},
    }


def test_validate_leaves_out_absent_structures(tmp_path):
    scans = labelled_scans(tmp_path, [row(1, 1, 0), row(0, 0, 0)])
    score = validate(fake_segmenter([row(1, 1, 0), row(0, 0, 0)], "left", "right"), scans)
    assert score == {"dice": 1.0, "dice_sd": 0.0, "dice_by_structure": {"left": 1.0}, "unmeasured": 1}
    assert in_words(scans, score) == "2 held-out validation scans, 1 of them without any structure to measure"


def test_validate_counts_false_positives(tmp_path):
    scans = labelled_scans(tmp_path, [row(0, 0, 0)])
    assert validate(fake_segmenter([row(0, 1, 0)], "left"), scans)["dice_by_structure"] == {"left": 0.0}


def test_validate_of_scans_without_any_structure(tmp_path):
    scans = labelled_scans(tmp_path, [row(0, 0, 0)])
    nothing = {"dice": 0.0, "dice_sd": 0.0, "dice_by_structure": {}, "unmeasured": 1}
    assert validate(fake_segmenter([row(0, 0, 0)], "left"), scans) == nothing


@pytest.mark.slow
def test_other_seeds_give_other_weights(run, recipe, data, tmp_path):
    with pytest.raises(Stop):
        train(dataclasses.replace(recipe, seed=4), tmp_path, data, on_epoch=stop_after(1))
    assert read_log(tmp_path)[0]["loss"] != run.lines[0]["loss"]
