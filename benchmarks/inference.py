"""Compares the segmentation of a large scan with MONAI's sliding window: `python -m benchmarks.inference [--quick]`.

A volume of 192×224×192 voxels is segmented by sliding window, with half a window of overlap and Gaussian blending. Ours
run with every engine in float32 and bfloat16. MONAI's `sliding_window_inference` runs the same network in PyTorch with
the same weights, at {float32, bfloat16 autocast} × {contiguous, channels_last} × {eager, and with --compile
torch.compile}. "chosen" marks the engine that `recalib segment` selects. "same labels" is the share of voxels with the
same label as ours in float32 under Keras; "same structures" counts only voxels that one of the two does not call
background. (Windows lie at different places: MONAI moves its last one back, ours are spread evenly.)
"""

import argparse
import functools
import itertools

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from benchmarks import timing
from benchmarks.torch_networks import Network
from recalib_keras import volumes, zoo
from recalib_keras.inference import Segmenter

SIZE, QUICK_SIZE = (192, 224, 192), (64, 80, 64)
REFERENCE = "ours, keras, float32"
FAR_BEHIND = 1.5  # times as slow as the best of its kind
COLUMNS = (
    "preset",
    "engine",
    "chosen",
    "seconds",
    "min",
    "max",
    "over the best PyTorch",
    "same labels",
    "same structures",
)


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="densenet3d_pe")
    parser.add_argument("--weights", default="hippocampus")
    parser.add_argument("--quick", action="store_true", help="a small volume, only to check that it runs")
    parser.add_argument("--compile", action="store_true", help="also compile PyTorch (needs a C++ compiler)")
    arguments = parser.parse_args()
    which = (arguments.preset, arguments.weights)
    image = _image(zoo.weight_set(*which).input.normalization, QUICK_SIZE if arguments.quick else SIZE)
    candidates = {**_ours(which, image), **_theirs(which, image, arguments.compile)}
    labels = {}

    def run(name):
        labels[name] = candidates[name]()

    rounds = {name: functools.partial(run, name) for name in candidates}
    seconds = _timed(rounds, repeats=1 if arguments.quick else 5)
    best = min(value["median"] for name, value in seconds.items() if name.startswith("MONAI"))
    chosen = _chosen(which, image)
    rows = [
        {
            "preset": arguments.preset,
            "engine": name,
            "chosen": "yes" if name == chosen else "",
            "seconds": seconds[name]["median"],
            "min": seconds[name]["min"],
            "max": seconds[name]["max"],
            "over the best PyTorch": best / seconds[name]["median"],
            **_agreement(labels[name], labels[REFERENCE]),
        }
        for name in candidates
    ]
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("inference", rows))


def _timed(rounds, repeats):
    """Returns the seconds of each candidate; one far behind the best of its kind in the first round runs only once."""
    first = timing.alternate(rounds, repeats=1, warm_up=0)
    best = {}
    for name, value in first.items():
        kind = _kind(name)
        best[kind] = min(best.get(kind, value["median"]), value["median"])
    ahead = [name for name in rounds if first[name]["median"] < FAR_BEHIND * best[_kind(name)]]
    return first | timing.alternate({name: rounds[name] for name in ahead}, repeats, warm_up=0)


def _kind(name):
    return name.split(",")[0]


def _image(normalization, size):
    """Returns a volume full of hippocampi: a crop of the MNI152 template, repeated as mirror images."""
    from examples.demo import template
    from examples.hippocampus import FIRST, LAST, crop

    scan = volumes.read(crop(template(), FIRST, LAST)).conform("RAS")
    array = volumes.normalize(scan.array, normalization)
    return np.pad(array, [(0, max(0, wanted - had)) for had, wanted in zip(array.shape, size)], mode="symmetric")


def _ours(which, image):
    candidates = {}
    for engine, precision in itertools.product(("keras", "openvino"), ("float32", "bfloat16")):
        segmenter = Segmenter.from_preset(*which, engine=engine, precision=precision)
        candidates[f"ours, {engine}, {precision}"] = functools.partial(segmenter.predict_classes, image)
    return candidates


def _chosen(which, image):
    """Returns the name of the selected engine: the remembered one, or the one that this image selects."""
    segmenter = Segmenter(which[0], weights=which[1])
    segmenter.views(image)
    return f"ours, {segmenter.engine.name}, {segmenter.engine.precision}"


def _theirs(which, image, use_compile):
    kept = torch.channels_last_3d if 1 not in zoo.weight_set(*which).input.window else torch.channels_last
    candidates = {}
    for precision in ("float32", "bfloat16"):
        for layout in (torch.contiguous_format, kept):
            for mode in ("eager", "compiled") if use_compile else ("eager",):
                name = f"MONAI, {precision}, {str(layout).removeprefix('torch.')}, {mode}"
                candidates[name] = _monai(which, image, precision, layout, mode)
    return candidates


def _monai(which, image, precision, layout, mode):
    described = zoo.weight_set(*which).input
    twin = Network(zoo.load(*which, dtype="float32")).to(memory_format=layout)
    network = torch.compile(twin) if mode == "compiled" else twin
    volume = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    axis = described.slice_axis

    def predict(windows):
        if axis is None:
            return network(windows.contiguous(memory_format=layout))
        return network(windows.squeeze(axis + 2).contiguous(memory_format=layout)).unsqueeze(axis + 2)

    def run():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            probabilities = sliding_window_inference(
                volume,
                described.window,
                4 if axis is None else 16,
                predict,
                overlap=0.5,
                mode="gaussian",
                sigma_scale=0.125,
            )
        return probabilities[0].argmax(0).numpy()

    return run


def _agreement(labels, reference):
    same, structures = labels == reference, (labels != 0) | (reference != 0)
    return {"same labels": f"{same.mean():.2%}", "same structures": f"{same[structures].mean():.2%}"}


if __name__ == "__main__":
    main()
