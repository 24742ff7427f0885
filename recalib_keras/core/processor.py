"""The processor of this machine: its name, and what it can do."""

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NAME = "model name"
ABILITIES = ("flags", "Features")  # of Intel and AMD, and of ARM
BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")  # flags of processors that compute in bfloat16


def processor_name() -> str:
    """Returns the name of the processor; the kind of the machine if the system does not say it."""
    names = (line.partition(":")[2].strip() for line in _lines() if line.startswith(NAME))
    return next(names, "") or platform.processor() or platform.machine()


def processor_description() -> list[str]:
    """Returns the lines of the system about the processor's name and abilities, those of each kind of core once."""
    lines = sorted({line for line in _lines() if line.startswith((NAME, *ABILITIES))})
    return lines or [platform.processor()]


def has_bfloat16() -> bool:
    """Returns whether the processor computes in bfloat16; False if the system does not say."""
    flags = {word for line in _lines() for word in line.split()}
    return not flags.isdisjoint(BFLOAT16)


def _lines() -> list[str]:
    try:
        return CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
