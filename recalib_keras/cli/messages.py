"""What commands print besides their results: single lines on stderr that begin with the command."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

from recalib_keras.core.errors import RecalibError
from recalib_keras.core.messages import STEPS, one_line

# What a user can fix becomes a line. Too little memory does too; any other error is a bug, and gets a traceback.
ERRORS = (RecalibError, ValueError, OSError, ImportError, RuntimeError)
# How TensorFlow, PyTorch, JAX and OpenVINO report that memory ran out: by their own classes, or only in these words.
MEMORY_CLASSES = ("ResourceExhaustedError", "OutOfMemoryError")
MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "can't allocate memory", "Cannot allocate memory", "bad_alloc")
LESS_MEMORY = {
    "segment": "use --threads 1 or a 2-D preset, leave --overlay out, or crop the scan (check its voxel size)",
    "bids": "use --threads 1 or a 2-D preset, or start fewer --workers",
    "evaluate": "leave --figures and --gates out, choose a 2-D --preset, or crop the scans",
    "compare": "use fewer --resamples",
    "train": "set a smaller batch_size or window in the recipe",
    "tune": "start fewer --workers, or set a smaller batch_size or window",
    "export": "leave --fixed out, or choose a 2-D preset",
    "augment": "draw fewer --scans and --samples",
    "synthesize": "use a larger --spacing and fewer --samples",
    "datasets": "crop the largest scans, or take them out",
}


def format_line(command: str, message: object) -> str:
    """Returns a message as a line, with the command in front.

    Args:
        command: Name of the command, such as `"segment"`.
        message: A text or an error.
    """
    return f"recalib {command}: {one_line(message)}"


def print_line(command: str, message: object, about: object = None) -> None:
    """Prints a message as a line on stderr, at once. An error with several `lines` is printed as those.

    Args:
        command: Name of the command, such as `"segment"`.
        message: A text or an error.
        about: What goes in front of each line, such as the recipe that failed; nothing where the line begins with it.
    """
    prefix = "" if about is None else f"{about}: "
    text = in_words(command, message) if isinstance(message, BaseException) else message
    for line in map(one_line, getattr(message, "lines", [text])):
        print(format_line(command, line if line.startswith(prefix) else prefix + line), file=sys.stderr, flush=True)


class _Lines(logging.Handler):
    """Hands the text of each record on."""

    def __init__(self, write: Callable[[str], object]):
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write(record.getMessage())


@contextlib.contextmanager
def shown_steps(command: str, write: Callable[[str], object], least: int = logging.INFO) -> Iterator[None]:
    """Shows what the library says that it does, as lines, while a block runs.

    Args:
        command: Name of the command, such as `"segment"`.
        write: Prints a line.
        least: The least level of the steps that are shown.
    """
    handler, level = _Lines(lambda step: write(format_line(command, step))), STEPS.level
    STEPS.addHandler(handler)
    STEPS.setLevel(least)
    try:
        yield
    finally:
        STEPS.removeHandler(handler)
        STEPS.setLevel(level)


def in_words(command: str, error: BaseException) -> str:
    """Returns the text of an error; if memory ran out, with what needs less.

    Args:
        command: Name of the command, such as `"segment"`.
        error: The error.
    """
    if not is_out_of_memory(error):
        return str(error)
    remedy = LESS_MEMORY.get(command, "close other programs")
    return f"memory ran out{f': {error}' if str(error) else ''}; {remedy}"


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error means that memory ran out, of the computer or of a GPU.

    Args:
        error: The error, of Python, NumPy, TensorFlow, PyTorch, JAX or OpenVINO.
    """
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in MEMORY_CLASSES
        or (isinstance(error, (RuntimeError, OSError)) and any(words in str(error) for words in MEMORY_WORDS))
    )
