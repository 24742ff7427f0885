import resource
import subprocess
import sys

import pytest

from recalib_keras.core import memory
from recalib_keras.core.errors import RecalibError, VolumeError
from recalib_keras.core.memory import free_memory, in_bytes, memory_for


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20 - 1, "1,024.0 KiB"),
        (2**30, "1.0 GiB"),
        (2**65, "32.0 EiB"),
        (2**80, "1,048,576.0 EiB"),
    ],
)
def test_in_bytes(size, expected):
    assert in_bytes(size) == expected


def test_free_memory_is_that_of_this_machine():
    assert 0 < free_memory() < 2**50


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Returns a function that replaces what the operating system says."""

    def replace(**content):
        for name in ("MEMINFO", "PROCESS", "CONTAINER_LIMIT", "CONTAINER_USE"):
            path = tmp_path / name
            path.unlink(missing_ok=True)
            if name.lower() in content:
                path.write_text(content[name.lower()])
            monkeypatch.setattr(memory, name, path)

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    return replace


MEMINFO = "MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 4000 kB\nSwapFree: 96 kB\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"meminfo": MEMINFO}, 4096 * 1024),
        ({"meminfo": MEMINFO, "container_limit": "max\n", "container_use": "anon 5\n"}, 4096 * 1024),
        ({"meminfo": MEMINFO, "container_limit": "90000\n", "container_use": "anon 50000\nfile 9\n"}, 40000),
        ({"meminfo": MEMINFO, "container_limit": "40000\n", "container_use": "anon 50000\n"}, 0),
    ],
)
def test_the_least_of_what_the_system_says_is_free(places, content, expected):
    places(**content)
    assert free_memory() == expected


@pytest.mark.parametrize("meminfo", ["", "MemAvailable: many kB", "nonsense"])
def test_without_proc_it_is_all_the_memory_or_unknown(places, monkeypatch, meminfo):
    places(meminfo=meminfo)
    assert free_memory() >= 0
    places()
    assert free_memory() > 2**20
    monkeypatch.delattr(memory.os, "sysconf")
    assert free_memory() is None


def test_the_limit_on_the_address_space_counts():
    code = (
        "import resource; from recalib_keras.core.memory import free_memory;"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, -1)); print(free_memory())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(result.stdout) < 2**31


def test_too_much_is_refused_before_the_block_runs(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 3 * 2**30)
    with (
        pytest.raises(VolumeError) as caught,
        memory_for(2**33, "1,000 voxels", "give a smaller scan", "a.nii", VolumeError),
    ):
        pytest.fail("the block ran")
    assert str(caught.value) == (
        "a.nii: expected room for 1,000 voxels, got too little memory (8.0 GiB needed, 3.0 GiB free); "
        "give a smaller scan"
    )
    assert caught.value.file == "a.nii" and caught.value.remedy == "give a smaller scan"


@pytest.mark.parametrize(("free", "words"), [(2**30, "1.0 MiB needed, 1.0 GiB free"), (None, "1.0 MiB needed")])
def test_a_memory_error_in_the_block_is_one_line(monkeypatch, free, words):
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    with pytest.raises(RecalibError) as caught, memory_for(2**20, "labels", "crop the scan"):
        raise MemoryError("Unable to allocate 6.44 GiB\nfor an array")
    assert str(caught.value) == f"expected room for labels, got too little memory ({words}); crop the scan"
    assert isinstance(caught.value.__cause__, MemoryError)


def test_other_errors_and_results_pass():
    with pytest.raises(KeyError), memory_for(1, "labels", "crop the scan"):
        raise KeyError
    with memory_for(1, "labels", "crop the scan"):
        result = 3
    assert result == 3
