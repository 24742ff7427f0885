"""What the workers of one host share: its GPUs, else its CPU threads."""

import os
import re
import subprocess
import warnings

# Libraries that start a thread for each core, unless told; NPROC is what JAX on CPU reads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
GPUS = "CUDA_VISIBLE_DEVICES"
# Several processes on one GPU must not each take all its memory at the start.
SHARED_GPU = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def find_gpus():
    """Returns what `CUDA_VISIBLE_DEVICES` calls the GPUs that may be used here, or the parts of them (MIG)."""
    visible = os.environ.get(GPUS)
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        return [name for name in names if name and name != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(listed)


def parse_gpus(listed):
    """Returns the UUIDs in what `nvidia-smi -L` prints; of a GPU that is cut in parts, those of the parts."""
    gpus = []
    for block in re.split(r"(?m)^(?=GPU \d)", listed):
        whole, *parts = re.findall(r"UUID: ([\w-]+)", block) or [None]
        gpus += parts or ([whole] if whole else [])
    return gpus


def count_cores():
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(workers, threads=None):
    """Returns for each worker the environment variables that give it its share of the host.

    One GPU each, in turn, where there are GPUs; else an equal part of the cores.

    Args:
        workers: integer.
        threads: CPU threads of each worker; None for an equal part.

    Returns:
        List of pairs: dict of environment variables, and number of threads or None for all.
    """
    gpus = find_gpus()
    if gpus and workers > len(gpus):
        warnings.warn(f"{workers} workers share {len(gpus)} GPUs; each may run out of memory", stacklevel=2)
    if threads is None and not gpus:
        threads = max(1, count_cores() // workers)
        if workers > count_cores():
            warnings.warn(f"{workers} workers share {count_cores()} cores, and slow each other down", stacklevel=2)
    shares = []
    for index in range(workers):
        variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {}
        if gpus:
            variables[GPUS] = gpus[index % len(gpus)]
            variables |= SHARED_GPU if workers > len(gpus) else {}
        shares.append((variables, threads))
    return shares
