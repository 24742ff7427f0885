"""The state of a study on disk: one file, complete at any moment, that one process writes."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from recalib_keras.core.checks import shown
from recalib_keras.core.errors import RecordError, StudyError
from recalib_keras.core.files import check_lock_file, read_file, write_text
from recalib_keras.core.records import from_mapping
from recalib_keras.tuning.trials.trial import COMPLETED, RUNNING, Trial

if TYPE_CHECKING:
    from recalib_keras.tuning.plan import Plan

DAMAGED = "the state is damaged: restore a copy of the file, or start again with --overwrite"
STATE, LOCK, FORMAT = "state.json", "study.lock", 1
# What every state holds, and of which type.
CONTENT = {
    "study": str,
    "recipe": str,
    "exhausted": bool,
    "trials": list,
    "oracle": dict,
    "drawn": list,
}


class State:
    """The state file of a study's folder, locked against other processes while it is open.

    keras-tuner keeps one file for the search and one for each trial. A process that dies between two writes leaves them
    in disagreement. Here everything is in one file, which is replaced as a whole.

    Args:
        folder: Folder of the study; created if it is missing.

    Raises:
        StudyError: Another process has the folder, or its lock is not a file.
    """

    def __init__(self, folder: str | os.PathLike):
        self.path = Path(folder) / STATE
        Path(folder).mkdir(parents=True, exist_ok=True)
        lock = Path(folder) / LOCK
        check_lock_file(lock, StudyError)
        self._lock = filelock.FileLock(lock, timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise StudyError(
                file=folder,
                expected="a folder that no other process works on",
                received="another `recalib tune` at work",
                remedy="let it finish, or choose another folder with --output",
            ) from None

    def save(self, **content: Any) -> None:
        """Replaces the file.

        Args:
            content: What the state consists of; see `CONTENT`.

        Raises:
            WriteError: The file cannot be written; the old one then stays.
        """
        write_text(self.path, json.dumps({"format": FORMAT, **content}, default=str))

    def load(self) -> dict[str, Any] | None:
        """Returns what was saved, or None if nothing was."""
        return read(self.path.parent) if self.path.exists() else None

    def close(self) -> None:
        """Releases the folder for other processes."""
        self._lock.release()


def read(folder: str | os.PathLike) -> dict[str, Any]:
    """Returns the content of a study's state file.

    Args:
        folder: Folder of the study.

    Raises:
        StudyError: There is no state, it is damaged, or of another version.
    """
    path = Path(folder) / STATE
    if not path.exists():
        raise StudyError(
            expected=f"a study in {folder}",
            received=f"a folder without {STATE}",
            remedy="run the study first, see recalib tune --help",
        )
    try:
        content = json.loads(read_file(path, "the state of a study", StudyError, DAMAGED))
    except StudyError:
        raise
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"no JSON ({error})") from None
    _check(content, path)
    return content


def trials_of(content: dict[str, Any]) -> list[Trial]:
    """Returns the trials of a state.

    Args:
        content: What `read` returns.
    """
    return [from_mapping(Trial, item, "trial") for item in content["trials"]]


def check_same(content: dict[str, Any], plan: Plan, folder: str | os.PathLike) -> None:
    """Checks that a state is that of a study.

    Args:
        content: What `read` returns.
        plan: The study, worked out.
        folder: Folder of the state, for the message.

    Raises:
        StudyError: The state is that of another study. The message names the first key that differs.
    """
    if (content["study"], content["recipe"]) == (plan.study.fingerprint, plan.fingerprint):
        return
    changed = next(_changes(content.get("question"), content.get("base_recipe"), plan), None)
    expected, received = changed or (f"the study {plan.study.name!r}", "another study, or another recipe")
    raise StudyError(
        file=folder,
        expected=f"{expected}, as when the study began" if changed else expected,
        received=received,
        remedy="undo the change, choose another folder with --output, or start again with --overwrite",
    )


def damaged(path: Path, received: str) -> StudyError:
    """Returns the error for a state file that does not hold the state of a study.

    Args:
        path: The file.
        received: What is wrong in it.
    """
    return StudyError(
        file=path,
        expected="the state of a study",
        received=received,
        remedy=DAMAGED,
    )


def _check(content, path):
    """Checks all that a search relies on, so that a damaged state neither raises later nor lets it wait forever."""
    if not isinstance(content, dict):
        raise damaged(path, f"a {type(content).__name__} where a table belongs")
    if content.get("format") != FORMAT:
        raise StudyError(
            file=path,
            expected=f"a state of format {FORMAT}",
            received=f"format {shown(content.get('format'))}",
            remedy="use the version of recalib-keras that wrote it, or start again with --overwrite",
        )
    for key, kind in CONTENT.items():
        if not isinstance(content.get(key), kind):
            raise damaged(path, f"no {kind.__name__} under {key!r}")
    try:
        trials = trials_of(content)
    except RecordError as error:
        raise damaged(path, f"a wrong trial ({error})") from None
    _check_trials(trials, path)
    _check_drawn(trials, content, path)


def _check_trials(trials, path):
    if len({trial.id for trial in trials}) < len(trials):
        raise damaged(path, "two trials of one id")
    for trial in trials:
        scores = [execution.score for execution in trial.executions]
        if trial.status == COMPLETED and (not scores or None in scores):
            raise damaged(path, f"trial {trial.id}, complete but without a score")
        if any(score is not None and not 0 <= score <= 1 for score in scores):
            raise damaged(path, f"trial {trial.id} with a score outside 0 to 1")


def _check_drawn(trials, content, path):
    """Checks that keras-tuner's own list of trials agrees with ours."""
    ongoing = content["oracle"].get("ongoing_trials")
    drawn = [item.get("trial_id") if isinstance(item, dict) else None for item in content["drawn"]]
    if not isinstance(ongoing, dict) or drawn != [trial.id for trial in trials]:
        raise damaged(path, "lists of trials that disagree")
    if sorted(map(str, ongoing.values())) != sorted(trial.id for trial in trials if trial.status == RUNNING):
        raise damaged(path, "running trials that no worker has")
    for trial, item in zip(trials, content["drawn"]):
        score = item.get("score")
        if trial.status == COMPLETED and not (isinstance(score, (int, float)) and abs(score) < math.inf):
            raise damaged(path, f"trial {trial.id}, complete but without a score in the search")


def _changes(question, recipe, plan):
    """Yields for each key that differs what the state has and what the study has, in words."""
    # States of earlier versions do not hold the keys.
    for saved, ours, place in ((question, plan.study.question, "the study"), (recipe, plan.base, "the recipe")):
        if not isinstance(saved, dict):
            continue
        before, now = (dict(_flat(json.loads(json.dumps(mapping, default=str)))) for mapping in (saved, ours))
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key) or (key in before) != (key in now):
                yield f"{place} with {_in_words(before, key)}", _in_words(now, key)


def _flat(table, where=""):
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def _in_words(mapping, key):
    return f"{key} = {json.dumps(mapping[key])}" if key in mapping else f"no {key}"
