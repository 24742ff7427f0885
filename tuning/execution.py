"""One training of a trial: to a given epoch, or until it gets no better, and from wherever it was stopped."""

import gc
import json
import math
import shutil
import traceback
from pathlib import Path

# What `recalib_keras.training` leaves in a run's folder.
CHECKPOINT, LOG, WEIGHTS = "checkpoint.safetensors", "log.jsonl", "best.safetensors"
NO_BETTER, NOT_FINITE = "no better", "not finite"


class Interrupted(Exception):
    """The trial is no longer this worker's."""


class _Over(Exception):
    """The training has come as far as it shall."""


def execute(task, seed, folder, data_root, on_line):
    """Trains once by a trial's recipe, or goes on where an earlier attempt was stopped.

    What another study, or this one before it was overwritten, has left in the folder is removed: a training goes on
    with its own recipe and scans alone.

    Args:
        task: dict, see `Plan.task`.
        seed: integer.
        folder: path of this training.
        data_root: path that the recipe's data folder is relative to.
        on_line: function called with the line of each epoch that is trained, see `read_lines`; it may raise
            `Interrupted`.

    Returns:
        Dict: `"execution"` (as of `Execution`), `"lines"`, `"parameters"`, and a `"message"` if the loss or a weight
        was no longer finite.
    """
    import keras

    from recalib_keras.core.records import from_mapping
    from recalib_keras.training import DivergedError, Recipe, find_split, train
    from recalib_keras.training.run.fingerprint import fingerprint

    folder, message = Path(folder), ""
    recipe = from_mapping(Recipe, {**task["recipe"], "seed": seed}, f"trial {task['trial']}")

    _remove_other(folder, fingerprint(recipe, find_split(recipe, data_root)))

    def on_epoch(line):
        lines = read_lines(folder, task["objective"])
        on_line(lines[-1])
        if end_of(lines, task):
            raise _Over

    try:
        if not end_of(read_lines(folder, task["objective"]), task):
            train(recipe, folder, data_root, resume=True, on_epoch=on_epoch)
    except _Over:
        pass
    except DivergedError as error:
        message = str(error)
    finally:
        keras.backend.clear_session()
        gc.collect()
    return _outcome(task, seed, folder, message)


def _remove_other(folder, identity):
    """Removes the folder of a training if its checkpoint is of another one, or of none that can be told."""
    from safetensors import SafetensorError

    from recalib_keras.training.run.checkpoint import read_fingerprint
    from recalib_keras.training.run.fingerprint import difference

    if not (folder / CHECKPOINT).exists():
        return
    try:
        begun = read_fingerprint(folder / CHECKPOINT)
    except SafetensorError:
        begun = None
    if begun is None or difference(begun, identity):
        shutil.rmtree(folder)


def read_lines(folder, objective):
    """Returns the log of a training so far: for each epoch a dict of `epoch`, `loss`, `seconds` and, if it was
    validated, `score`.

    Args:
        folder: path of the training.
        objective: `"dice"`, or the name of a structure.
    """
    path = Path(folder) / LOG
    # The log may be a line ahead of the checkpoint, and is cut back when the training goes on.
    if not path.exists() or not (path.parent / CHECKPOINT).exists():
        return []
    return [_line(json.loads(text), objective) for text in path.read_text(encoding="utf-8").splitlines()]


def _line(logged, objective):
    line = {key: logged[key] for key in ("epoch", "loss", "seconds")}
    if "dice" in logged:
        score = logged["dice"] if objective == "dice" else logged["dice_by_structure"].get(objective, 0.0)
        line["score"] = score if math.isfinite(score) else 0.0
    return line


def end_of(lines, task):
    """Returns whether a training with these lines is over: `"epochs"`, `"no better"`, or `""` if it is not."""
    scores = [line["score"] for line in lines if "score" in line]
    if lines and lines[-1]["epoch"] >= task["epochs"]:
        return "epochs"
    patience = task["patience"]
    if patience and len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience]):
        return NO_BETTER
    return ""


def start_from_past(task, seed, trials_folder) -> None:
    """Begins a training with the state in which an earlier trial left its own (Hyperband).

    The recipes of both say how long the last round trains, so that they are the same. Where there is no such state, on
    another disk say, or only that of another study, the training begins at the beginning, and comes to the same.
    """
    past, folder = (Path(trials_folder) / trial / f"seed_{seed}" for trial in (task["past"] or "", task["trial"]))
    if task["past"] is None or not (past / CHECKPOINT).exists() or folder.exists():
        return
    copy = folder.with_name(f".{folder.name}")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(past, copy)
    copy.rename(folder)


def is_of_this_place(error) -> bool:
    """Returns whether an error is the machine's, such as a full disk or missing data, and no fault of the trial's."""
    while error is not None:
        if isinstance(error, OSError):
            return True
        error = error.__cause__ or error.__context__
    return False


def describe(error):
    """Returns an error in a line, and its traceback."""
    return f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))


def _outcome(task, seed, folder, message):
    lines = read_lines(folder, task["objective"])
    scored = [line for line in lines if "score" in line]
    best = max(scored, key=lambda line: line["score"], default={"score": None, "epoch": 0})
    end = NOT_FINITE if message else end_of(lines, task)
    execution = {
        "seed": seed,
        "score": best["score"],
        "best_epoch": best["epoch"],
        "epochs": len(lines),
        "stopped": "" if end == "epochs" else end,
    }
    return {"execution": execution, "lines": lines, "parameters": _parameters(folder), "message": message}


def _parameters(folder):
    """Returns the number of weights of the training's network, or None if none were kept."""
    from recalib_keras.zoo import weights

    path = Path(folder) / WEIGHTS
    return sum(tensor.size for tensor in weights.read(path).values()) if path.exists() else None
