"""One training of a trial: to a given epoch, or until its score no longer improves. A stopped training continues."""

from __future__ import annotations

import gc
import json
import os
import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recalib_keras.core.errors import DivergedError
from recalib_keras.core.messages import counted, one_line

NO_BETTER, NOT_FINITE, HOPELESS = "no better", "not finite", "hopeless"


class Interrupted(Exception):
    """The search does not want the trial any longer."""


class _Over(Exception):
    """The training is long enough."""


def execute(
    task: Mapping[str, Any],
    seed: int,
    folder: str | os.PathLike,
    data_root: str | os.PathLike,
    on_line: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Trains once by a trial's recipe, or continues where an earlier attempt was stopped.

    A training only continues a run of the same recipe and scans. What another study, or an overwritten one, has left
    in the folder is removed.

    Args:
        task: See `Plan.task`.
        seed: Seed of the training.
        folder: Folder of this training.
        data_root: Folder that the recipe's data folder is relative to.
        on_line: Called with the line of each epoch that is trained, see `read_lines`; it may raise `Interrupted`.

    Returns:
        Dict: `"execution"` (as of `Execution`), `"lines"`, `"parameters"`, and a `"message"`, which is empty unless the
        loss or a weight was no longer finite, or the training was interrupted.
    """
    import keras

    from recalib_keras.core.records import from_mapping
    from recalib_keras.training import Recipe, find_split, train
    from recalib_keras.training.run.fingerprint import fingerprint

    folder, message, stopped = Path(folder), "", ""
    recipe = from_mapping(Recipe, {**task["recipe"], "seed": seed}, f"trial {task['trial']}")
    split = find_split(recipe, data_root)
    _remove_other(folder, fingerprint(recipe, split, use_cache=True))

    def on_epoch(line):
        lines = read_lines(folder, task["objective"])
        on_line(lines[-1])
        if end_of(lines, task):
            raise _Over

    try:
        if not end_of(read_lines(folder, task["objective"]), task):
            train(recipe, folder, data_root, resume=True, on_epoch=on_epoch, split=split)
    except _Over:
        pass
    except DivergedError as error:
        message, stopped = str(error), NOT_FINITE
    except Interrupted as error:
        message, stopped = str(error), HOPELESS
    finally:
        keras.backend.clear_session()
        gc.collect()
    return _outcome(task, seed, folder, message, stopped)


def _remove_other(folder, identity):
    """Removes the folder of a training if its checkpoint is that of another training, or cannot be read."""
    from safetensors import SafetensorError

    from recalib_keras.training.run.checkpoint import read_fingerprint
    from recalib_keras.training.run.fingerprint import difference
    from recalib_keras.training.run.folder import CHECKPOINT

    if not (folder / CHECKPOINT).exists():
        return
    try:
        begun = read_fingerprint(folder / CHECKPOINT)
    except SafetensorError:
        begun = None
    if begun is None or difference(begun, identity):
        shutil.rmtree(folder)


def read_lines(folder: str | os.PathLike, objective: str) -> list[dict[str, Any]]:
    """Returns the log of a training so far.

    Args:
        folder: Folder of the training.
        objective: `"dice"`, or the name of a structure.

    Returns:
        For each epoch a dict of `epoch`, `loss`, `seconds` and, if the epoch was validated, `score`.
    """
    from recalib_keras.training.run.folder import CHECKPOINT
    from recalib_keras.training.run.log import LOG

    path = Path(folder) / LOG
    # The log may be a line ahead of the checkpoint; it is cut back when the training continues.
    if not path.exists() or not (path.parent / CHECKPOINT).exists():
        return []
    return [_line(json.loads(text), objective) for text in path.read_text(encoding="utf-8").splitlines()]


def _line(logged, objective):
    from recalib_keras.training.early_stopping import score_of  # here, since it loads Keras

    line = {key: logged[key] for key in ("epoch", "loss", "seconds")}
    score = score_of(logged, objective)
    return line if score is None else {**line, "score": score}


def end_of(lines: Sequence[Mapping[str, Any]], task: Mapping[str, Any]) -> str:
    """Returns why a training with these lines is over: `"epochs"`, `"no better"`, or `""` if it is not over.

    Args:
        lines: See `read_lines`.
        task: See `Plan.task`.
    """
    from recalib_keras.training.early_stopping import DICE, has_stalled

    if lines and lines[-1]["epoch"] >= task["epochs"]:
        return "epochs"
    scores = [{DICE: line["score"]} for line in lines if "score" in line]
    return NO_BETTER if has_stalled(scores, task["patience"]) else ""


def start_from_past(task: Mapping[str, Any], seed: int, trials_folder: str | os.PathLike) -> None:
    """Starts a training from the checkpoint of an earlier trial (Hyperband).

    The recipes of both trials give the length of the last round, so they are the same. Without that checkpoint, for
    example because it is on another disk, or with that of another study, the training starts at its first epoch and
    reaches the same result.

    Args:
        task: See `Plan.task`.
        seed: Seed of the training.
        trials_folder: Folder of the study's trials.
    """
    from recalib_keras.training.run.folder import CHECKPOINT

    past, folder = (Path(trials_folder) / trial / f"seed_{seed}" for trial in (task["past"] or "", task["trial"]))
    if task["past"] is None or not (past / CHECKPOINT).exists() or folder.exists():
        return
    copy = folder.with_name(f".{folder.name}")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(past, copy)
    copy.rename(folder)


def is_of_this_place(error: BaseException | None) -> bool:
    """Returns whether the machine caused an error, such as a full disk or missing data, and not the trial.

    Args:
        error: The error. Its causes count too.
    """
    while error is not None:
        if isinstance(error, OSError):
            return True
        error = error.__cause__ or error.__context__
    return False


def describe(error: BaseException) -> tuple[str, str]:
    """Returns an error in a line, and its traceback. Of an error with several lines, the line has the first.

    Args:
        error: The error.
    """
    first, *others = getattr(error, "lines", [str(error)])
    rest = f"; and {counted(len(others), 'line')} more" if others else ""
    return one_line(f"{type(error).__name__}: {first}{rest}"), "".join(traceback.format_exception(error))


def _outcome(task, seed, folder, message, stopped):
    lines = read_lines(folder, task["objective"])
    scored = [line for line in lines if "score" in line]
    best = max(scored, key=lambda line: line["score"], default={"score": None, "epoch": 0})
    end = stopped or end_of(lines, task)
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
    from recalib_keras.training.run.folder import BEST
    from recalib_keras.zoo import weights

    path = Path(folder) / BEST
    return sum(tensor.size for tensor in weights.read(path).values()) if path.exists() else None
