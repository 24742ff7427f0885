"""Memory: how much is free, and one clear error where it is too little."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from recalib_keras.core.errors import RecalibError

MEMINFO = Path("/proc/meminfo")
# Pages of this process: all that is mapped comes first.
PROCESS = Path("/proc/self/statm")
# The limit of a container (control groups, version 2), and what it uses.
CONTAINER_LIMIT, CONTAINER_USE = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.stat")
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@contextlib.contextmanager
def memory_for(
    needed: int,
    what: str,
    remedy: str,
    file: str | os.PathLike | None = None,
    kind: type[RecalibError] = RecalibError,
) -> Iterator[None]:
    """Runs a block that needs much memory. If it is too little, raises one error, as a rule before the block runs.

    Without this check Linux promises memory that it does not have, and ends the process once it is used.

    Args:
        needed: About how many bytes the block allocates.
        what: What they hold, for the message, such as `"1,000 voxels"`.
        remedy: What the user can do, such as the option that needs less.
        file: The file that is read or processed, if it is one.
        kind: The class of the error.

    Raises:
        RecalibError: There is less free memory than `needed`, or the block raises MemoryError.

    Example:
        >>> try:
        ...     with memory_for(2**80, "a scan", "use a smaller one"):
        ...         pass
        ... except RecalibError as error:
        ...     print(error.expected, "|", error.remedy)
        room for a scan | use a smaller one
    """
    free = free_memory()

    def error():
        there = "" if free is None else f", {in_bytes(free)} free"
        received = f"too little memory ({in_bytes(needed)} needed{there})"
        return kind(file=file, expected=f"room for {what}", received=received, remedy=remedy)

    if free is not None and needed > free:
        raise error()
    try:
        yield
    except MemoryError as cause:
        raise error() from cause


def free_memory() -> int | None:
    """Returns how many bytes this process can still allocate; None if the operating system does not say.

    The least of: what is free on the machine (swap included), what its container allows, and what the limit on its
    address space (`ulimit -v`) leaves.
    """
    known = [size for size in (_free_on_machine(), _free_in_container(), _free_address_space()) if size is not None]
    return max(0, min(known)) if known else None


def in_bytes(size: float) -> str:
    """Returns a number of bytes in words.

    Args:
        size: The number.

    Example:
        >>> in_bytes(1000), in_bytes(6.44 * 2**30)
        ('1,000 bytes', '6.4 GiB')
    """
    if size < 1024:
        return f"{size:,.0f} bytes"
    power = min((int(size).bit_length() - 1) // 10, len(UNITS) - 1)
    return f"{size / 1024**power:,.1f} {UNITS[power]}"


def _free_on_machine():
    try:
        lines = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
        return sum(int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree") if name in lines)
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _free_in_container():
    try:
        used = dict(line.split() for line in CONTAINER_USE.read_text().splitlines())
        return int(CONTAINER_LIMIT.read_text()) - int(used["anon"])
    except (OSError, ValueError, KeyError):  # no container, or one without a limit ("max")
        return None


def _free_address_space():
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        return limit - int(PROCESS.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):  # Windows has no such limit
        return None
