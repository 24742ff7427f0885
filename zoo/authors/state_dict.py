"""The tensors of a PyTorch checkpoint, read without running any code that the file holds."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras.core.checks import shown
from recalib_keras.core.errors import WeightsError, missing_package
from recalib_keras.core.messages import listed, one_line
from recalib_keras.zoo import weights

# Under which keys trainings keep the state dict, beside the optimizer's.
KEYS = ("state_dict", "model_state_dict", "model")
PARALLEL = "module."  # what `torch.nn.DataParallel` puts before each name
# Older versions ran code in some files although they were asked for weights only (CVE-2025-32434).
OLDEST_TORCH = (2, 6)
REFUSED = re.compile(r"GLOBAL (\S+)")  # how PyTorch names an object that it does not load
RESAVE = "if you trust it, load it in PyTorch and save its tensors alone: torch.save(model.state_dict(), 'tensors.pth')"


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the floating tensors of a checkpoint by their names, in float32.

    The file holds a state dict or a dictionary with one, as trainings write it. A safetensors file needs no PyTorch.
    The prefix `module.` of a network that was trained on several GPUs is taken off.

    Args:
        path: A `.pth`, `.pth.tar`, `.pt` or `.safetensors` file.

    Raises:
        WeightsError: The file cannot be read, holds other objects than tensors (it is refused before any of its code
            runs), has no state dict, or values that are not finite.
        ImportError: PyTorch is not installed, or is older than 2.6.
    """
    path = Path(path)
    content = weights.read(path) if path.suffix == weights.SUFFIX else _numpy(_state_dict(_load(path), path), path)
    if content and all(name.startswith(PARALLEL) for name in content):
        content = {name.removeprefix(PARALLEL): tensor for name, tensor in content.items()}
    wild = [name for name, tensor in content.items() if not np.isfinite(tensor).all()]
    if wild:
        raise WeightsError(file=path, expected="finite weights", received=f"others in {listed(wild)}")
    return content


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        command = 'pip install "recalib-keras[torch]"'
        raise missing_package("reading a PyTorch checkpoint", "PyTorch", command) from None
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        raise ImportError(
            f"expected PyTorch {'.'.join(map(str, OLDEST_TORCH))} or newer, which reads weights without running code, "
            f"got {torch.__version__}; run: pip install --upgrade torch"
        )
    if not path.is_file():
        received = "a folder" if path.is_dir() else "no such file"
        raise WeightsError(file=path, expected="a PyTorch checkpoint", received=received, remedy="check the path")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = REFUSED.search(str(error))
        if refused is not None:
            raise WeightsError(
                file=path,
                expected="a checkpoint of tensors",
                received=f"other objects, such as {refused[1]}, which were not loaded",
                remedy=RESAVE,
            ) from None
        raise _unreadable(path, error) from None
    except Exception as error:  # a damaged file fails anywhere: in the archive, the pickle, the storages
        raise _unreadable(path, error) from None


def _unreadable(path, error):
    reason = one_line(error).partition(". ")[0]
    return WeightsError(file=path, expected="a PyTorch checkpoint", received=f"a file that cannot be read ({reason})")


def _state_dict(content, path):
    """Returns the mapping of names to tensors in what a checkpoint holds."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in KEYS if isinstance(content.get(key), Mapping)), content)
        if content and all(isinstance(name, str) for name in content):
            return content
    raise WeightsError(
        file=path,
        expected=f"a state dict, or a dictionary with one as {KEYS[0]!r}",
        received=f"a {type(content).__name__}",
        remedy="save `model.state_dict()`",
    )


def _numpy(state, path):
    import torch

    others = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise WeightsError(
            file=path,
            expected="a state dict, whose values are tensors",
            received=f"{listed(others)} (the first is {shown(state[others[0]])})",
            remedy=f"save `model.state_dict()`, alone or as {KEYS[0]!r}",
        )
    # Counters of batches are integers, and belong to training.
    return {name: tensor.float().numpy() for name, tensor in state.items() if tensor.is_floating_point()}
