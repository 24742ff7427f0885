import os
import subprocess

import pytest

from recalib_keras.core.spreading import devices

WHOLE = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000000)
"""
IN_PARTS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
  MIG 1g.10gb     Device  0: (UUID: MIG-33333333-aaaa-bbbb-cccc-000000000000)
  MIG 1g.10gb     Device  1: (UUID: MIG-44444444-aaaa-bbbb-cccc-000000000000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000000)
"""


@pytest.fixture
def host(monkeypatch):
    """Makes a host of this many GPUs and cores."""

    def make(gpus=(), cores=8):
        monkeypatch.setattr(devices, "find_gpus", lambda: list(gpus))
        monkeypatch.setattr(devices, "count_cores", lambda: cores)

    return make


def test_parses_nvidia_smi():
    assert [name[:12] for name in devices.parse_gpus(WHOLE)] == ["GPU-11111111", "GPU-22222222"]
    assert [name[:12] for name in devices.parse_gpus(IN_PARTS)] == ["MIG-33333333", "MIG-44444444", "GPU-22222222"]
    assert devices.parse_gpus("") == devices.parse_gpus("No devices found.\n") == []


@pytest.mark.parametrize(
    ("visible", "expected"), [("0,2", ["0", "2"]), ("MIG-3, GPU-1", ["MIG-3", "GPU-1"]), ("", []), ("-1", [])]
)
def test_uses_only_visible_gpus(visible, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.find_gpus() == expected


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.CalledProcessError(9, "nvidia-smi")])
def test_no_driver_means_no_gpus(error, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert devices.find_gpus() == []


def test_each_worker_has_a_gpu(host):
    host(gpus=["a", "b"])
    assert devices.share(2) == [({"CUDA_VISIBLE_DEVICES": "a"}, None), ({"CUDA_VISIBLE_DEVICES": "b"}, None)]


def test_more_workers_than_gpus(host):
    host(gpus=["a", "b"])
    with pytest.warns(UserWarning, match="3 workers share 2 GPUs"):
        shares = devices.share(3)
    assert [variables["CUDA_VISIBLE_DEVICES"] for variables, _ in shares] == ["a", "b", "a"]
    assert all(variables["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for variables, _ in shares)


def test_splits_cores_without_gpus(host):
    host(cores=8)
    (variables, threads), *others = devices.share(3)
    assert threads == 2 and len(others) == 2
    assert {variables[name] for name in devices.THREAD_VARIABLES} == {"2"}
    assert [threads for _, threads in devices.share(3, threads=1)] == [1, 1, 1]


def test_more_workers_than_cores(host):
    host(cores=2)
    with pytest.warns(UserWarning, match="3 workers share 2 cores"):
        assert [threads for _, threads in devices.share(3)] == [1, 1, 1]


def test_counts_usable_cores():
    assert devices.count_cores() == len(os.sched_getaffinity(0))
