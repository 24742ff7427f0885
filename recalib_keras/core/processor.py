"""What the processor of this machine computes fast."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")  # flags of processors that compute in bfloat16


def has_bfloat16() -> bool:
    """Returns whether the processor computes in bfloat16; False if the system does not say."""
    try:
        flags = CPUINFO.read_text(encoding="utf-8").split()
    except OSError:
        return False
    return any(flag in flags for flag in BFLOAT16)
