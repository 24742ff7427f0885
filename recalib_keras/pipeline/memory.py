"""Keep memory from one training step to the next, where the C library would return it in between."""

import ctypes
import sys

# Parameters of glibc's mallopt, by their numbers in its malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
NEVER = -1
# The heap grows by this many bytes at a time.
STRIDE = 2**28


def keep_memory() -> bool:
    """Lets glibc keep freed memory for the rest of the process; does nothing on other systems.

    Every step allocates the same large arrays and frees them again. By default glibc maps each one again, and the
    kernel clears its pages each time.

    Returns:
        Whether glibc is there and has accepted the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # other C libraries
        return False
    settings = {MMAP_MAX: 0, TRIM_THRESHOLD: NEVER, TOP_PAD: STRIDE}
    return all(library.mallopt(parameter, value) for parameter, value in settings.items())
