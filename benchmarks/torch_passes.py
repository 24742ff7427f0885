"""The PyTorch code that is timed: passes of a block, and training steps of a network."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F


def of_block(
    module: torch.nn.Module, array: np.ndarray, dtype: str, use_compile: bool, device: str = "cpu"
) -> dict[tuple[str, str], Callable[[], None]]:
    """Returns the forward and the forward + backward pass of a module in each layout and mode.

    Args:
        module: The block.
        array: Its input, floats `(batch, *spatial, channels)`.
        dtype: `"float32"` or `"bfloat16"`.
        use_compile: Whether to try torch.compile as well.
        device: `"cpu"` or `"cuda"`.

    Returns:
        Functions by `(how, pass)`.
    """
    candidates = {}
    kind = getattr(torch, dtype)
    module = module.to(device, kind)
    plain = torch.from_numpy(np.moveaxis(array, -1, 1).copy()).to(device, kind)
    layout = torch.channels_last if array.ndim == 4 else torch.channels_last_3d
    for layout_name, x in (("contiguous", plain), ("channels_last", plain.contiguous(memory_format=layout))):
        for mode in ("eager", "compiled") if use_compile else ("eager",):
            run = _compiled(module) if mode == "compiled" else module
            candidates[f"{layout_name}, {mode}", "forward"] = lambda run=run, x=x: _forward(run, x)
            candidates[f"{layout_name}, {mode}", "forward + backward"] = lambda run=run, x=x: _both(run, x)
    return candidates


def training_step(
    twin: torch.nn.Module,
    x: np.ndarray,
    y: np.ndarray,
    layout: str,
    precision: str,
    mode: str,
    device: str = "cpu",
) -> Callable[[], None]:
    """Returns a function that does one step of Adam.

    Args:
        twin: The network, a `benchmarks.torch_networks.Network`.
        x: The images, floats `(batch, *spatial, 1)`.
        y: The classes, integers of the same shape.
        layout: `"contiguous"` or `"channels_last"`.
        precision: `"float32"`, or `"bfloat16"` by autocast.
        mode: `"eager"` or `"compiled"`.
        device: `"cpu"` or `"cuda"`.
    """
    kept = {2: torch.channels_last, 3: torch.channels_last_3d}[x.ndim - 2]
    memory = kept if layout == "channels_last" else torch.contiguous_format
    image = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(device).contiguous(memory_format=memory)
    classes = torch.from_numpy(y[..., 0]).long().to(device)
    twin = twin.to(device, memory_format=memory)
    optimizer = torch.optim.Adam(twin.parameters(), 1e-3)
    run = _compiled(twin) if mode == "compiled" else twin

    def step():
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            probabilities = run(image)
        _loss(probabilities.float(), classes).backward()
        optimizer.step()
        _wait(device)

    return step


def _compiled(module):
    torch._dynamo.config.recompile_limit = 64  # for many layouts, types and networks; the default is 8
    return torch.compile(module)


def _forward(module, x):
    with torch.inference_mode():
        module(x)
    _wait(x.device.type)


def _both(module, x):
    x = x.detach().requires_grad_()
    y = module(x)
    y.backward(torch.ones_like(y))
    module.zero_grad()
    _wait(x.device.type)


def _wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def _loss(probabilities, classes):
    """Returns one minus the mean Dice without the background, plus the cross-entropy, as in `DiceCrossEntropy`."""
    one_hot = F.one_hot(classes, probabilities.shape[1]).movedim(-1, 1).float()
    axes = [0, *range(2, probabilities.ndim)]
    overlap, total = (one_hot * probabilities).sum(axes), one_hot.sum(axes) + probabilities.sum(axes)
    return 1 - (2 * overlap / (total + 1e-5))[1:].mean() + F.nll_loss(torch.log(probabilities + 1e-7), classes)
