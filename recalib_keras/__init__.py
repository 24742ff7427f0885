"""Recalibration blocks, segmentation networks and a zoo of pretrained weights for Keras.

The parts load on first use, so that importing one of them costs no more than it needs. `keras.saving.load_model` finds
the classes of this package once `recalib_keras` is imported. If TensorFlow is imported later, it uses oneDNN, also on
processors where it would not by itself; the environment variable `TF_ENABLE_ONEDNN_OPTS=0` prevents this.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from recalib_keras.registration import register_with_keras

if TYPE_CHECKING:
    from recalib_keras import export, layers, models, zoo
    from recalib_keras.inference import Segmentation, Segmenter, segment

__version__ = "0.1.0"
__all__ = ["Segmentation", "Segmenter", "export", "layers", "models", "segment", "zoo"]

_PARTS = (
    *("layers", "models", "zoo", "volumes", "datasets"),
    *("synthesis", "training", "export", "tuning", "inference", "evaluation", "reports"),
)
_INFERENCE = ("Segmentation", "Segmenter", "segment")


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"recalib_keras.{name}")
    if name in _INFERENCE:
        return getattr(importlib.import_module("recalib_keras.inference"), name)
    raise AttributeError(f"module 'recalib_keras' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_PARTS, *_INFERENCE])


register_with_keras()
# TensorFlow leaves out oneDNN on older processors, where its convolutions are several times faster, too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
