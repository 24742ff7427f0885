"""Checkpoints are read as PyTorch and trainings write them, and no code in them ever runs."""

import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from recalib_keras.zoo import WeightsError
from recalib_keras.zoo.authors.state_dict import read_state_dict

TENSORS = {"encode1.conv1.weight": np.arange(4, dtype="float32").reshape(2, 2), "a.bias": np.ones(3, "float32")}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def same(found):
    return found.keys() == TENSORS.keys() and all(np.array_equal(found[name], TENSORS[name]) for name in found)


def as_torch(torch, prefix="", dtype=None):
    return {f"{prefix}{name}": torch.from_numpy(array).to(dtype) for name, array in TENSORS.items()}


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3, "arch": "quicknat"}])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "old format"])
def test_what_trainings_write(torch, wrap, prefix, is_old, tmp_path):
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(wrap(as_torch(torch, prefix)), path, _use_new_zipfile_serialization=not is_old)
    assert same(read_state_dict(path))


def test_an_optimizer_beside_the_tensors(torch, tmp_path):
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    content = {"state_dict": module.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**content, "scheduler": scheduler.state_dict(), "start_iteration": 7}, tmp_path / "a.pth.tar")
    assert read_state_dict(tmp_path / "a.pth.tar").keys() == {"weight", "bias"}


def test_counters_are_left_out_and_half_precision_is_widened(torch, tmp_path):
    content = {**as_torch(torch, dtype=torch.float16), "a.num_batches_tracked": torch.tensor(5)}
    torch.save(content, tmp_path / "a.pth")
    found = read_state_dict(tmp_path / "a.pth")
    assert same(found)
    assert found["a.bias"].dtype == np.float32


def test_safetensors_need_no_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    save_file({f"module.{name}": array for name, array in TENSORS.items()}, tmp_path / "a.safetensors")
    assert same(read_state_dict(tmp_path / "a.safetensors"))
    with pytest.raises(ImportError, match=r'not installed; run: pip install "recalib-keras\[torch\]"'):
        read_state_dict(tmp_path / "a.pth")


def test_an_old_pytorch_is_refused(torch, tmp_path, monkeypatch):
    """It would run code in some files."""
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(ImportError, match=r"expected PyTorch 2\.6 or newer, which reads weights without running code"):
        read_state_dict(tmp_path / "a.pth")


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "old format"])
@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"state_dict": {"encode1.conv1.weight": bad}}])
def test_code_in_a_checkpoint_is_refused_and_never_runs(torch, wrap, is_old, tmp_path):
    target, path = tmp_path / "was here", tmp_path / "checkpoint.pth.tar"
    torch.save(wrap(Malicious(target)), path, _use_new_zipfile_serialization=not is_old)
    with pytest.raises(
        WeightsError, match=r"of tensors, got other objects, such as \S*system, .*; if you trust it, load"
    ):
        read_state_dict(path)
    path.write_bytes(pickle.dumps(Malicious(target)))  # no PyTorch file at all
    with pytest.raises(WeightsError, match="expected a "):
        read_state_dict(path)
    assert not target.exists()


def test_a_pickle_inside_an_archive_does_not_run(torch, tmp_path):
    target, path = tmp_path / "was here", tmp_path / "a.pth"
    torch.save(as_torch(torch), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, pickle.dumps(Malicious(target)) if name.endswith("data.pkl") else content)
    with pytest.raises(WeightsError):
        read_state_dict(path)
    assert not target.exists()


def test_a_whole_module_is_refused(torch, tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.model")
    with pytest.raises(
        WeightsError, match=r"such as torch.nn.modules.linear.Linear, .* save its tensors alone: torch.save"
    ):
        read_state_dict(tmp_path / "a.model")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            lambda torch: [torch.ones(2)],
            "expected a state dict, or a dictionary with one as 'state_dict', got a list; save",
        ),
        (lambda torch: {}, "expected a state dict, or .*, got a dict"),
        (
            lambda torch: {"epoch": 3, "loss": 0.5},
            r"whose values are tensors, got epoch, loss \(the first is 3\); save",
        ),
        (lambda torch: {"a": torch.tensor([np.inf])}, "expected finite weights, got others in a"),
    ],
)
def test_other_contents(torch, content, message, tmp_path):
    torch.save(content(torch), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=message):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_files_that_cannot_be_read(torch, name, tmp_path):
    with pytest.raises(WeightsError, match="got no such file"):
        read_state_dict(tmp_path / name)
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="expected a"):
        read_state_dict(tmp_path / name)
