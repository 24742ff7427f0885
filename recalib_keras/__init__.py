"""Recalibration blocks, segmentation networks and a zoo of pretrained weights for Keras.

The parts load on first use, so that importing one of them costs no more than it needs:
`recalib_keras.layers` and `recalib_keras.models` load Keras alone.
"""

import importlib

__version__ = "0.1.0"
__all__ = ["Segmentation", "Segmenter", "layers", "models", "segment", "zoo"]

_PARTS = (
    *("layers", "models", "zoo", "volumes", "datasets"),
    *("synthesis", "training", "tuning", "inference", "evaluation"),
)
_INFERENCE = ("Segmentation", "Segmenter", "segment")


def __getattr__(name):
    if name in _PARTS:
        return importlib.import_module(f"recalib_keras.{name}")
    if name in _INFERENCE:
        return getattr(importlib.import_module("recalib_keras.inference"), name)
    raise AttributeError(f"module 'recalib_keras' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_PARTS, *_INFERENCE])
