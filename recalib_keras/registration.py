"""Registers the classes of this package with Keras without importing them, and without importing Keras.

`keras.saving.load_model` looks up each class by its registered name. This module registers a placeholder under each
name as soon as Keras is imported, before or after this package. A placeholder imports the class when a saved model
asks for it; the class's own registration then replaces the placeholder.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

PACKAGE = "recalib_keras"
# The module of each class, by the name under which it is registered.
CLASSES = {
    **dict.fromkeys(("CBAM", "ChannelAttention", "SpatialAttention"), "layers.cbam"),
    "ChannelSE": "layers.channel_se",
    "ChannelSpatialSE": "layers.channel_spatial_se",
    "ProjectExcite": "layers.project_excite",
    "SegSE": "layers.seg_se",
    "SpatialSE": "layers.spatial_se",
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), "layers.normalization"),
    **dict.fromkeys(("MaxPooling3D", "MaxPoolingWithIndices", "MaxUnpooling", "UpSampling"), "layers.resizing"),
    **dict.fromkeys(("SpaceToDepth", "DepthToSpace"), "layers.space_to_depth"),
    "DenseNet": "models.densenet",
    "FeaturePyramid": "models.feature_pyramid",
    **dict.fromkeys(("SliceWise", "WeightedAverage", "WholeVolume"), "models.ensemble"),
    "SDNet": "models.sdnet",
    "UNet": "models.unet",
    "RandomScan": "synthesis.random_scan",
    "DiceCrossEntropy": "training.losses.dice_cross_entropy",
    "MeanDice": "training.losses.metrics",
    **dict.fromkeys(("RecipeAdam", "RecipeAdamW", "RecipeMuon", "RecipeSGD"), "training.optimizers"),
}


def register_with_keras() -> None:
    """Registers all classes with Keras: at once if it is imported, otherwise when it is."""
    if "keras" in sys.modules:
        _register()
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


class Placeholder:
    """Takes the place of a class in Keras's registry until a saved model needs the class.

    Args:
        name: The class's name in the registry, with the package.
        module: The module that defines and registers it.
    """

    def __init__(self, name: str, module: str):
        self.name = name
        self.module = module

    def from_config(self, config: Mapping[str, Any]) -> Any:
        """Returns an instance of the class; Keras calls this to load one."""
        return self.load().from_config(config)

    def load(self) -> type[Any]:
        """Imports the class, which registers itself, and returns it."""
        import keras

        importlib.import_module(self.module)
        # Not `get_registered_object`, which while a model is loaded finds what was registered when that began.
        return keras.saving.get_custom_objects()[self.name]


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Registers the classes right after Keras is imported; it finds Keras as the other finders do."""

    def find_spec(self, fullname, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                _register()

            loader.exec_module = execute_and_register
        return spec


def _register():
    import keras

    registry = keras.saving.get_custom_objects()
    for name, module in CLASSES.items():
        name = f"{PACKAGE}>{name}"
        registry.setdefault(name, Placeholder(name, f"{PACKAGE}.{module}"))
