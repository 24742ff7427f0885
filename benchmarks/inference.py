"""Labels of a large scan beside MONAI's sliding window: `python -m benchmarks.inference [--quick]`.

A smooth random 192×224×192 volume goes through a preset's window with half a window of overlap and Gaussian blending:
ours in float32 and bfloat16, and MONAI's `sliding_window_inference` over the same network in PyTorch with the same
weights, at its best of {float32, bfloat16 autocast} × {contiguous, channels_last}. Also says how many labels agree.
"""

import argparse
import functools

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from scipy import ndimage

from benchmarks import timing
from benchmarks.torch_networks import Network
from recalib_keras import zoo
from recalib_keras.inference import Segmenter

SIZE, QUICK_SIZE = (192, 224, 192), (64, 80, 64)
COLUMNS = ("preset", "engine", "seconds", "over ours", "labels equal to ours, float32")


def main():
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="densenet3d_pe")
    parser.add_argument("--quick", action="store_true", help="a small volume, to see that it runs")
    arguments = parser.parse_args()
    size = QUICK_SIZE if arguments.quick else SIZE
    image = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(size), 3).astype("float32")
    image = (image - image.mean()) / image.std()

    described = zoo.weight_set(arguments.preset)
    candidates = {
        f"ours, {dtype}": _ours(arguments.preset, described, dtype, image) for dtype in ("float32", "bfloat16")
    }
    for precision in ("float32", "bfloat16"):
        for layout in (torch.contiguous_format, torch.channels_last_3d):
            name = f"MONAI, {precision}, {str(layout).removeprefix('torch.')}"
            candidates[name] = _monai(arguments.preset, described, image, precision, layout)
    labels = {}

    def run(name):
        labels[name] = candidates[name]()

    rounds = {name: functools.partial(run, name) for name in candidates}
    seconds = timing.alternate(rounds, repeats=1 if arguments.quick else 5, warm_up=0 if arguments.quick else 1)
    reference = labels["ours, float32"]
    rows = [
        {
            "preset": arguments.preset,
            "engine": name,
            "seconds": seconds[name]["median"],
            "range": seconds[name],
            "over ours": seconds[name]["median"] / min(seconds[k]["median"] for k in seconds if k.startswith("ours")),
            "labels equal to ours, float32": f"{(labels[name] == reference).mean():.2%}",
        }
        for name in candidates
    ]
    timing.show(rows, COLUMNS)
    print("written to", timing.write("inference", rows))


def _ours(preset, described, dtype, image):
    policy = "float32" if dtype == "float32" else "mixed_bfloat16"
    segmenter = Segmenter(described, zoo.load(preset, dtype=policy))
    return lambda: segmenter.predict_classes(image)


def _monai(preset, described, image, precision, layout):
    window = described.input.window
    twin = Network(zoo.load(preset, dtype="float32")).to(memory_format=layout)
    volume = torch.from_numpy(image)[None, None]

    def predict(windows):
        return twin(windows.contiguous(memory_format=layout))

    def run():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            probabilities = sliding_window_inference(
                volume, window, 4, predict, overlap=0.5, mode="gaussian", sigma_scale=0.125
            )
        return probabilities[0].argmax(0).numpy()

    return run


if __name__ == "__main__":
    main()
