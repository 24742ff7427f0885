"""Single trainings of a trial, real ones."""

import json
import shutil

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from training.synthetic import RECIPE, write_scans

from recalib_keras.core.errors import DivergedError, TrainingError
from recalib_keras.training.run.folder import CHECKPOINT
from recalib_keras.tuning.trials import execution
from recalib_keras.tuning.trials.execution import NO_BETTER, end_of, execute, read_lines, start_from_past

TINY = (
    RECIPE.replace("[12, 12, 12]", "[1, 12, 12]")
    .replace("examples_per_scan = 6", "steps_per_epoch = 2")
    .replace("epochs = 5", "epochs = 3")
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_scans(root, count=3)
    return root


def task_of(**changes):
    import tomllib

    recipe = tomllib.loads(TINY)
    recipe["optimizer"]["learning_rate"] = changes.pop("learning_rate", 0.06)
    settings = {"trial": "0", "attempt": 1, "recipe": recipe, "seeds": [4], "epochs": 3, "objective": "dice"}
    return {**settings, "patience": 0, "past": None, "keep_checkpoints": True, **changes}


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A training that was never stopped: its folder, lines and outcome."""
    folder, lines = tmp_path_factory.mktemp("whole") / "0" / "seed_4", []
    return folder, lines, execute(task_of(), 4, folder, data, lines.append)


def without_times(lines):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_training(whole):
    folder, lines, outcome = whole
    assert [line["epoch"] for line in lines] == [1, 2, 3] and lines == outcome["lines"]
    assert all(line.keys() == {"epoch", "loss", "seconds", "score"} for line in lines)
    best = max(lines, key=lambda line: line["score"])
    assert outcome["execution"] == {
        "seed": 4,
        "score": best["score"],
        "best_epoch": best["epoch"],
        "epochs": 3,
        "stopped": "",
    }
    assert outcome["message"] == "" and outcome["parameters"] > 100
    assert (folder / "best.safetensors").exists()


@pytest.mark.slow
def test_rounds_equal_one_long_training(whole, data, tmp_path):
    short = task_of(epochs=1)
    execute(short, 4, tmp_path / "0" / "seed_4", data, lambda line: None)
    longer = task_of(trial="1", epochs=3, past="0")
    start_from_past(longer, 4, tmp_path)
    seen = []
    outcome = execute(longer, 4, tmp_path / "1" / "seed_4", data, seen.append)
    assert [line["epoch"] for line in seen] == [2, 3]
    assert without_times(outcome["lines"]) == without_times(whole[2]["lines"])
    assert outcome["execution"] == whole[2]["execution"]
    start_from_past(longer, 4, tmp_path)  # a training that has begun stays as it is
    assert len(read_lines(tmp_path / "1" / "seed_4", "dice")) == 3
    again = []
    assert execute(longer, 4, tmp_path / "1" / "seed_4", data, again.append) == outcome and again == []


@pytest.fixture
def begun(monkeypatch):
    """Replaces trainings: they only note how many epochs they find in their folder."""
    found = []

    def train(recipe, folder, *_, **__):
        found.append(len(read_lines(folder, "dice")))

    monkeypatch.setattr("recalib_keras.training.train", train)
    return found


@pytest.mark.slow
def test_ignores_a_run_of_another_recipe(whole, begun, data, tmp_path):
    folder, slower = tmp_path / "0" / "seed_4", task_of(learning_rate=0.01)
    shutil.copytree(whole[0], folder)
    assert execute(task_of(), 4, folder, data, None) == whole[2] and begun == []
    assert execute(slower, 4, folder, data, None)["lines"] == [] and begun == [0]
    assert not folder.exists()


@pytest.mark.slow
def test_ignores_a_past_of_another_recipe(whole, begun, data, tmp_path):
    shutil.copytree(whole[0], tmp_path / "0" / "seed_4")
    for past_rate, trial, expected in ((0.06, "1", []), (0.01, "2", [0])):
        task = task_of(trial=trial, past="0", learning_rate=past_rate)
        start_from_past(task, 4, tmp_path)
        execute(task, 4, tmp_path / trial / "seed_4", data, None)
        assert begun == expected


@pytest.mark.slow
def test_ignores_runs_on_other_scans_and_broken_ones(whole, begun, data, tmp_path):
    write_scans(tmp_path / "data", count=4)
    for root, spoiled in ((tmp_path / "data", False), (data, True)):
        folder = tmp_path / f"{spoiled}"
        shutil.copytree(whole[0], folder)
        if spoiled:
            (folder / "checkpoint.safetensors").write_bytes(b"half of one")
        execute(task_of(), 4, folder, root, None)
    assert begun == [0, 0]


def test_starts_anew_without_its_past(tmp_path):
    start_from_past(task_of(trial="1", past="0"), 4, tmp_path)
    start_from_past(task_of(trial="1"), 4, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_interrupted_training_keeps_its_epochs(whole, data, tmp_path):
    def interrupt(line):
        raise execution.Interrupted("stopped by the search")

    outcome = execute(task_of(), 4, tmp_path, data, interrupt)
    assert (outcome["message"], outcome["execution"]["stopped"]) == ("stopped by the search", "hopeless")
    assert outcome["execution"]["score"] == whole[1][0]["score"]
    assert without_times(read_lines(tmp_path, "dice")) == without_times(whole[1][:1])


def test_diverged_training_returns_the_reason(data, tmp_path):
    task = task_of(learning_rate=1e30)
    task["recipe"]["optimizer"]["clip_norm"] = 0.0
    task["recipe"]["optimizer"]["warmup_epochs"] = 0.0
    outcome = execute(task, 4, tmp_path, data, lambda line: None)
    assert "expected a finite loss, got " in outcome["message"]
    assert outcome["execution"]["stopped"] == "not finite"
    assert len(outcome["lines"]) < 3


@pytest.mark.parametrize(
    ("error", "is_pruned"),
    [
        (DivergedError("the loss is no longer finite"), True),
        (TrainingError("no scan is left in /data/infinite"), False),
    ],
)
def test_only_divergence_prunes(error, is_pruned, data, tmp_path, monkeypatch):
    """The words of an error, such as the name of a folder, decide nothing."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("recalib_keras.training.train", fail)
    if is_pruned:
        assert execute(task_of(), 4, tmp_path / "infinite", data, None)["message"] == str(error)
    else:
        with pytest.raises(TrainingError, match="no scan is left"):
            execute(task_of(), 4, tmp_path / "infinite", data, None)


def test_failure_in_a_folder_named_infinite_is_not_pruned(whole, data, tmp_path):
    """A real training whose checkpoint lacks a weight fails, and its error names the folder."""
    folder = tmp_path / "infinite" / "0" / "seed_4"
    shutil.copytree(whole[0], folder)
    with safe_open(folder / CHECKPOINT, "numpy") as checkpoint:
        metadata = checkpoint.metadata()
        tensors = {name: checkpoint.get_tensor(name) for name in list(checkpoint.keys())[1:]}
    save_file(tensors, folder / CHECKPOINT, metadata)
    with pytest.raises(TrainingError, match="infinite") as caught:
        execute(task_of(epochs=9), 4, folder, data, None)
    assert not isinstance(caught.value, DivergedError)


def test_missing_data_is_an_error_of_the_machine(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        execute(task_of(), 4, tmp_path / "run", tmp_path, lambda line: None)
    assert execution.is_of_this_place(caught.value)


def lines_of(*scores):
    return [{"epoch": number, **({} if s is None else {"score": s})} for number, s in enumerate(scores, start=1)]


@pytest.mark.parametrize(
    ("scores", "epochs", "patience", "expected"),
    [
        ([], 3, 0, ""),
        ([0.1, 0.2], 3, 0, ""),
        ([0.1, 0.2, 0.1], 3, 0, "epochs"),
        ([0.3, 0.2, 0.1, 0.1], 9, 0, ""),
        ([0.3, 0.2], 9, 2, ""),
        ([0.3, 0.2, 0.3], 9, 2, NO_BETTER),
        ([0.3, 0.2, 0.4], 9, 2, ""),
        ([0.3, None, 0.2, None], 9, 2, ""),
        ([0.3, None, 0.2, None, 0.1], 9, 2, NO_BETTER),
        ([None, None, None], 9, 1, ""),
    ],
)
def test_end_of_a_training(scores, epochs, patience, expected):
    assert end_of(lines_of(*scores), {"epochs": epochs, "patience": patience}) == expected


def test_read_lines(tmp_path):
    logged = [
        {"epoch": 1, "loss": 2.0, "seconds": 1.0},
        {"epoch": 2, "loss": 1.0, "seconds": 1.0, "dice": 0.5, "dice_by_structure": {"core": 0.25}},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in logged))
    assert read_lines(tmp_path, "dice") == []  # without a checkpoint it starts again
    (tmp_path / "checkpoint.safetensors").touch()
    first, second = read_lines(tmp_path, "dice")
    assert first == logged[0] and second["score"] == 0.5
    assert read_lines(tmp_path, "core")[1]["score"] == 0.25
    assert read_lines(tmp_path, "shell")[1]["score"] == 0.0  # it is nowhere
    shutil.rmtree(tmp_path)
    assert read_lines(tmp_path, "dice") == []


def test_describe():
    with pytest.raises(ValueError, match="no") as caught:
        raise ValueError("no")
    line, trace = execution.describe(caught.value)
    assert line == "ValueError: no" and "Traceback" in trace
    assert not execution.is_of_this_place(caught.value)
