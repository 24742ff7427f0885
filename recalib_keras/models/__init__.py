"""Segmentation networks with recalibration blocks, in 2-D and 3-D, and grafting of blocks into any Keras model.

The networks load on first use: the rules of `recalib_keras.models.architecture` are needed without Keras, too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from recalib_keras.models.architecture import BLOCKS, POSITIONS

if TYPE_CHECKING:
    from recalib_keras.models.densenet import DenseNet
    from recalib_keras.models.encoder_decoder import EncoderDecoder
    from recalib_keras.models.feature_pyramid import FeaturePyramid, features
    from recalib_keras.models.freezing import freeze, unfreeze
    from recalib_keras.models.sdnet import SDNet
    from recalib_keras.models.surgery import graft
    from recalib_keras.models.unet import UNet

    RECALIBRATIONS: dict[str, type]
    """The classes of the blocks by the names that networks know them by."""

__all__ = [
    "POSITIONS",
    "RECALIBRATIONS",
    "DenseNet",
    "EncoderDecoder",
    "FeaturePyramid",
    "SDNet",
    "UNet",
    "features",
    "freeze",
    "graft",
    "unfreeze",
]

_MODULES = {
    "DenseNet": "densenet",
    "EncoderDecoder": "encoder_decoder",
    "FeaturePyramid": "feature_pyramid",
    "SDNet": "sdnet",
    "UNet": "unet",
    "features": "feature_pyramid",
    "freeze": "freezing",
    "graft": "surgery",
    "unfreeze": "freezing",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name == "RECALIBRATIONS":
        layers = importlib.import_module("recalib_keras.layers")
        return {block: getattr(layers, class_name) for block, class_name in BLOCKS.items()}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
