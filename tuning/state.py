"""The state of a study on disk: one file, whole at any moment, under one chief."""

import json
from pathlib import Path

import filelock

from recalib_keras.core.errors import StudyError
from recalib_keras.core.files import write_text

STATE, LOCK, FORMAT = "state.json", "chief.lock", 1


class State:
    """The state file of a study's folder, locked against other chiefs while it is open.

    keras-tuner keeps one file for the search and one for each trial; a chief that dies between two writes leaves them
    at odds. Here all is one file, replaced as a whole.

    Args:
        folder: path of the study; made if it is missing.

    Raises:
        StudyError: if another chief has it.
    """

    def __init__(self, folder):
        self.path = Path(folder) / STATE
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(Path(folder) / LOCK, timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise StudyError(
                f"another chief works on {folder}; let it finish, or choose another folder with --output"
            ) from None

    def save(self, **content) -> None:
        """Replaces the file.

        Raises:
            WriteError: if it cannot be written; the old one then stays.
        """
        text = json.dumps({"format": FORMAT, **content})
        write_text(self.path, text)

    def load(self):
        """Returns what was saved, or None if nothing was."""
        return read(self.path.parent) if self.path.exists() else None

    def close(self) -> None:
        """Lets other chiefs have the folder."""
        self._lock.release()


def read(folder):
    """Returns the content of a study's state file.

    Raises:
        StudyError: if there is none, or it is of another version.
    """
    path = Path(folder) / STATE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"expected a study in {folder}, there is no {STATE}; see recalib tune --help") from None
    except ValueError as error:
        raise StudyError(f"{path} is no state of a study: {error}; start anew with --overwrite") from None
    if content.get("format") != FORMAT:
        raise StudyError(
            f"{path} has the format {content.get('format')!r}, this version reads {FORMAT}; start anew with --overwrite"
        )
    return content
