"""The share of each worker in one host: a GPU, or else some of its CPU threads."""

from __future__ import annotations

import os
import re
import subprocess
import warnings

# They limit the threads of libraries that start one for each core; JAX on CPU reads NPROC.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)
GPUS = "CUDA_VISIBLE_DEVICES"
# Processes that share a GPU must not each take all its memory at the start.
SHARED_GPU = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def find_gpus() -> list[str]:
    """Returns the names, as in `CUDA_VISIBLE_DEVICES`, of the usable GPUs or of their parts (MIG)."""
    visible = os.environ.get(GPUS)
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        return [name for name in names if name and name != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(listed)


def use_device(name: str) -> None:
    """Lets this process, and the workers that it starts, see one device alone. Call it before the backend is loaded.

    Args:
        name: `"cpu"`, or `"gpu:0"`, `"gpu:1"` and so on, in the order of `nvidia-smi` or `CUDA_VISIBLE_DEVICES`.

    Raises:
        ValueError: This machine has no such device.
    """
    if name == "cpu":
        hide_gpus()
        os.environ["JAX_PLATFORMS"] = "cpu"
        return
    kind, _, number = name.partition(":")
    is_gpu = kind == "gpu" and number.isdecimal()
    gpus = find_gpus()
    if not is_gpu or int(number) >= len(gpus):
        known = ", ".join(["cpu", *(f"gpu:{index}" for index in range(len(gpus)))])
        raise ValueError(
            f"--device: expected a device of this machine, got {name!r}; use one of: {known}"
            + ("" if gpus else " (nvidia-smi lists no GPU here)")
        )
    os.environ[GPUS] = gpus[int(number)]


def are_gpus_hidden() -> bool:
    """Returns whether GPUs are hidden from this process, see `hide_gpus`."""
    return os.environ.get(GPUS, "all").strip() in ("", "-1")


def parse_gpus(listed: str) -> list[str]:
    """Returns the UUIDs in the output of `nvidia-smi -L`; of a GPU that is divided, those of its parts.

    Args:
        listed: The output.
    """
    gpus = []
    for block in re.split(r"(?m)^(?=GPU \d)", listed):
        whole, *parts = re.findall(r"UUID: ([\w-]+)", block) or [None]
        gpus += parts or ([whole] if whole else [])
    return gpus


def hide_gpus() -> None:
    """Leaves the GPUs to the workers: this process will not see them. Call it before the backend is loaded."""
    os.environ[GPUS] = "-1"


def count_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(workers: int, threads: int | None = None) -> list[tuple[dict[str, str], int | None]]:
    """Returns for each worker the environment variables that give it its share of the host.

    Each worker gets one GPU, in turn, where there are GPUs; else an equal part of the cores.

    Args:
        workers: Number of workers.
        threads: CPU threads of each worker; None for an equal part.

    Returns:
        For each worker its environment variables, and its number of threads or None for all.
    """
    gpus = find_gpus()
    if gpus and workers > len(gpus):
        warnings.warn(f"{workers} workers share {len(gpus)} GPUs and may run out of memory", stacklevel=2)
    if threads is None and not gpus:
        threads = max(1, count_cores() // workers)
        if workers > count_cores():
            warnings.warn(f"{workers} workers share {count_cores()} cores and slow each other down", stacklevel=2)
    shares = []
    for index in range(workers):
        variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {}
        if gpus:
            variables[GPUS] = gpus[index % len(gpus)]
            variables |= SHARED_GPU if workers > len(gpus) else {}
        shares.append((variables, threads))
    return shares
