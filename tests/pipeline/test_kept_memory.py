import subprocess
import sys

import pytest

PAGES_OF_64_MIB = 2**26 // 2**12
CODE = """
import resource
from recalib_keras.pipeline.memory import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        bytearray(2**26)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before, kept = faults(), keep_memory()
bytearray(2**26)
print(kept, before, faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about glibc")
def test_pages_are_cleared_once_only():
    output = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    kept, before, after = output.split()
    if kept == "False":
        pytest.skip("another C library")
    assert int(after) < PAGES_OF_64_MIB / 2 < int(before)


def test_nothing_happens_elsewhere(monkeypatch):
    from recalib_keras.pipeline import memory

    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_memory() is False
